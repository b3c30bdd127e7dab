"""ktrain's path of what tags words: `from ktlite.text.ner import sequence_tagger`."""

from ktlite.text.tagging import (
    entities_from_array,
    entities_from_conll2003,
    entities_from_df,
    entities_from_gmb,
    entities_from_txt,
    print_sequence_taggers,
    sequence_tagger,
)

__all__ = [
    "entities_from_array",
    "entities_from_conll2003",
    "entities_from_df",
    "entities_from_gmb",
    "entities_from_txt",
    "print_sequence_taggers",
    "sequence_tagger",
]
