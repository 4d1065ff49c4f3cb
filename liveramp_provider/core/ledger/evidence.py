"""How well an arrival is proven: one grade for every way of knowing, and never more than was seen."""

from __future__ import annotations

#: Nothing but a person's word is known.
A_PERSON_LOOKED = "P"

#: The grades in words, the strongest first. A delivery in doubt has none.
EVIDENCE = {
    "E1": "the receiver checked the SHA-256 or CRC of all bytes itself, and said so",
    "E2": "all bytes read back and compared under the temporary name; close and rename acknowledged",
    "E3": "size read back on the open file; close and rename acknowledged",
    "E4": "close and rename acknowledged; the server tells no sizes",
    "E5": "written under the final name; close acknowledged",
    "E6": "the upload was acknowledged; the receiver tells no sizes and no digests",
    "L": "the answer to an earlier try was lost, and the receiver's list of uploads has it",
    "S": "the answer to an earlier try was lost, and a later one saw the file under its final name, in full size",
    "C": "the answer to an earlier try was lost, and the condition of a later one found the file there",
    A_PERSON_LOOKED: "a person looked at the receiver and says that it is there",
}
