"""Human Protein Atlas: where in a cell a protein is, of 28 places."""

from runner.contract import MACRO_F1_OF_TAGS, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Multilabel, Stack, with_sizes

COLOURS = ("red", "green", "blue", "yellow")

# train.csv has Id,Target with numbers between blanks; four grey PNGs an id, of which green is the protein.
COMPETITION = Competition(
    slug="human-protein-atlas-image-classification",
    title="Human Protein Atlas Image Classification",
    labels=Multilabel(csv="train.csv", id="Id", label="Target"),
    train_images=Stack(*(f"train/{{id}}_{colour}.png" for colour in COLOURS)),
    test_images=Stack(*(f"test/{{id}}_{colour}.png" for colour in COLOURS)),
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=MACRO_F1_OF_TAGS,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [256]),
)
