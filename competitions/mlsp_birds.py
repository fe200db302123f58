"""MLSP 2013 Bird Classification Challenge: which of 19 species sing in a recording, by its spectrogram."""

from pathlib import Path

from runner.contract import MICRO_AUC, NO_FLIP, Competition, Lookup, Multilabel


def prepare(folder: Path) -> None:
    """Name images by their recording; write tables of labels, and of what each row of the submission asks for."""
    for id, name in (line.split(",") for line in (folder / "rec_id2filename.txt").read_text().splitlines()[1:]):
        (folder / f"spectrograms/{name}.bmp").rename(folder / f"spectrograms/{id}.bmp")
    rows = [line.split(",") for line in (folder / "rec_labels_test_hidden.txt").read_text().splitlines()[1:]]
    asked = [f"{100 * int(id) + n},{id},{n}" for id, *tags in rows if tags == ["?"] for n in range(19)]
    (folder / "train.csv").write_text("\n".join(["id,tags", *(f"{id},{' '.join(x)}" for id, *x in rows if x != ["?"])]))
    (folder / "rows.csv").write_text("\n".join(["Id,rec_id,species", *asked]))


COMPETITION = Competition(  # rec_labels_test_hidden.txt has 14,0,4 or 15,? a line; an Id is 100 x rec_id + species
    slug="mlsp-2013-birds",
    title="MLSP 2013 Bird Classification Challenge",
    prepare=prepare,
    raw_files=("rec_id2filename.txt", "rec_labels_test_hidden.txt", "spectrograms/"),
    labels=Multilabel(csv="train.csv", may_be_empty=True),
    train_images="spectrograms/{id}.bmp",
    test_images="spectrograms/{id}.bmp",
    sample_submission="sample_submission.csv",
    submission_rows=Lookup("rows.csv", row="Id", id="rec_id", column="species"),
    preset=NO_FLIP,
    metric=MICRO_AUC,
)
