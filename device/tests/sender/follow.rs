//! Following an alert: what is told behind the receipt, and what is made up for by sending the same bytes again.

use std::time::Duration;

use device::{Client, Following, Options, Policy, SendError};
use protocol::{Progress, Reason, Receipt, ShortText, Status};

use crate::resend::press;
use crate::stub::{After, Identity, Reply, Stub, receipt, refusal};

use Progress::{Acknowledged, Assigned, Reopened, Resolved};

fn steps(status: Status, steps: &'static [Progress], after: After) -> Reply {
    Reply::Steps(receipt(status), steps, after)
}

async fn told(following: &mut Following) -> Vec<Progress> {
    let mut told = vec![];
    while let Some(item) = following.next().await.unwrap() {
        told.push(item.progress);
    }
    told
}

/// What a client that follows is told by a gateway that replies so, and how many messages the gateway heard.
async fn follow(replies: Vec<Reply>) -> (Vec<Progress>, usize) {
    let identity = Identity::new();
    let stub = Stub::start(&identity, replies);
    let client = stub.client(&identity, &Options::default(), Policy::default());
    let (_, mut following) = Client::follow(&client, &press(1)).await.unwrap();
    let told = told(&mut following).await;
    let heard = stub.heard();
    assert!(heard.iter().all(|heard| heard.bytes == heard_first(&stub)), "the same bytes");
    (told, heard.len())
}

fn heard_first(stub: &Stub) -> Vec<u8> {
    stub.heard().swap_remove(0).bytes
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_until_the_alert_is_resolved() {
    let all = steps(Status::Received, &[Acknowledged, Assigned, Resolved], After::Open);
    assert_eq!(follow(vec![all]).await, (vec![Acknowledged, Assigned, Resolved], 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_a_stream_that_ends_are_made_up_for() {
    for after in [After::Lost, After::End] {
        let replies = vec![
            steps(Status::Received, &[Acknowledged], after),
            steps(Status::Duplicate, &[Acknowledged, Resolved, Reopened], After::End),
        ];
        assert_eq!(follow(replies).await, (vec![Acknowledged, Resolved], 2), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_press_is_not_followed() {
    let held = Receipt { call: ShortText::new("110"), ..receipt(Status::Duplicate) };
    for receipt in [receipt(Status::Held), held] {
        assert_eq!(follow(vec![Reply::Receipt(receipt)]).await, (vec![], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_what_is_followed() {
    let identity = Identity::new();
    let replies = [steps(Status::Received, &[], After::End), refusal(Reason::Revoked)];
    let stub = Stub::start(&identity, replies);
    let policy = Policy { deadline: Some(Duration::from_secs(60)), ..Policy::default() };
    let client = stub.client(&identity, &Options::default(), policy);
    let (_, mut following) = client.follow(&press(1)).await.unwrap();
    assert!(matches!(following.next().await, Err(SendError::Refused { .. })));
}
