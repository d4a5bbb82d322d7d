//! Tokens of operators that are limited: what they are shown, what is unknown to them, and what reaches the desk of theirs.

use gateway::desk::Undecided;
use pipeline::{Act, Agencies, DecisionRefusal, Scope};
use protocol::Category;
use serde_json::{Value, json};

use super::post::{Post, alert, decided, device};

const EXACT_LAT: &str = "-7.96662";

#[tokio::test]
async fn what_a_token_is_not_limited_to_is_as_unknown_as_what_is_not_there() {
    let post = Post::after(vec![decided(17, 7, Act::Acknowledge)]).await;
    let (status, found) = post.get("/v1/alerts", "fina").await;
    let alerts = found["alerts"].as_array().unwrap();
    assert_eq!((status, alerts.len()), (200, 1));
    assert_eq!(alerts[0]["alert_id"], alert(7).to_string());
    let (_, found) = post.get("/v1/alerts?category=unspecified", "fina").await;
    assert_eq!(found["alerts"], json!([]));
    assert_eq!(post.get(&format!("/v1/alerts/{}/track", alert(7)), "fina").await.0, 200);
    for path in ["", "/track"] {
        let get =
            async |of: u64| post.get(&format!("/v1/alerts/{}{path}", alert(of)), "fina").await;
        let ((status, of_another), (_, mut of_none)) = (get(8).await, get(99).await);
        assert_eq!(status, 404, "{of_another}");
        of_none["detail"] = of_none["detail"]
            .as_str()
            .unwrap()
            .replace(&alert(99).to_string(), &alert(8).to_string())
            .into();
        assert_eq!(of_another, of_none);
    }
    let (_, audit) = post.get("/v1/audit", "fina").await;
    let acts: Vec<_> = audit["decisions"].as_array().unwrap().iter().map(|it| &it["act"]).collect();
    assert_eq!(acts, ["acknowledge"]);
    let (_, zones) = post.get("/v1/zones", "fina").await;
    assert!(
        zones["zones"].as_array().unwrap().iter().all(|zone| zone.get("open_alerts").is_none())
    );
}

#[tokio::test]
async fn limits_go_to_the_desk_and_what_it_does_not_know_for_them_is_not_found() {
    let post = Post::start().await;
    let unknown = DecisionRefusal::UnknownAlert(alert(8));
    post.desk_says(Err(Undecided::Refused(unknown)));
    let path = format!("/v1/alerts/{}/acknowledge", alert(8));
    let (status, problem) = post.post(&path, "fina", &json!({})).await;
    assert_eq!((status, &problem["type"]), (404, &"urn:kentongan:problem:unknown-alert".into()));
    let fires = [Category::Fire].into_iter().collect();
    let scope = Scope { agencies: Agencies::ALL, categories: fires };
    assert_eq!(post.desk.asked.lock().unwrap()[0].scope, scope);
}

#[tokio::test]
async fn who_sees_places_as_cells_is_shown_neither_place_nor_owner_nor_words() {
    let post = Post::start().await;
    let verdict = format!("/v1/alerts/{}", alert(3));
    for path in [
        "/v1/alerts",
        "/v1/alerts?format=geojson",
        &format!("/v1/alerts/{}", alert(1)),
        &format!("/v1/alerts/{}/track", alert(1)),
        &verdict,
        "/v1/audit",
        &format!("/v1/devices/{}", device(1)),
    ] {
        let (status, exact) = post.get(path, "hadi").await;
        let (_, coarse) = post.get(path, "koko").await;
        assert_eq!(status, 200);
        let hidden = [EXACT_LAT, "lantai 2", "laughed", "Ibu Sari", "gate"];
        assert!(hidden.iter().any(|words| exact.to_string().contains(words)), "{exact}");
        for words in hidden {
            assert!(!coarse.to_string().contains(words), "{path}: {coarse}");
        }
    }
    let (_, shown) = post.get(&format!("/v1/alerts/{}", alert(1)), "koko").await;
    assert_eq!(
        (&shown["position"]["lat"], &shown["position"]["coarse"]),
        (&json!(-7.965), &json!(true))
    );
    assert_eq!(shown["last_position"]["lat"], -7.965);
    assert_eq!(shown["messages"][0]["position"]["lat"], -7.965);
    let (_, track) = post.get(&format!("/v1/alerts/{}/track", alert(1)), "koko").await;
    assert_eq!(track["features"][1]["geometry"]["coordinates"], json!([112.635, -7.965]));
    let (_, map) = post.get("/v1/alerts?format=geojson", "koko").await;
    assert_eq!(map["features"][0]["geometry"]["type"], "Polygon");
    let (_, judged) = post.get(&verdict, "koko").await;
    assert_eq!(
        (&judged["decisions"][0]["act"], &judged["decisions"][0]["reason"]),
        (&json!("verdict"), &Value::Null)
    );
}
