"""Dog Breed Identification: 120 breeds, photographs of every size and shape."""

from runner.contract import ACCURACY, LOG_LOSS, SIDE_ON, Competition, OneOfMany, Recipe, Stage, State

COMPETITION = Competition(
    slug="dog-breed-identification",
    title="Dog Breed Identification",
    labels=OneOfMany(csv="labels.csv", id="id", label="breed"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,  # dogs stand upright: mirrored, never upside down
    metric=LOG_LOSS,
    also_report=(ACCURACY,),
    awards_medals=False,  # a playground competition
    recipe=Recipe(
        backbone="resnext50_32x4d",
        stages=(
            # The body is already right for such photographs: a head on it, then sharper eyes. Unfreezing it
            # made the score worse on real dogs, at every rate that was tried (README, "What earns its time").
            Stage(224, State.HEAD, cycles=3, cycle_len=2, cycle_mult=2),
            Stage(299, State.HEAD, cycles=2, cycle_len=2, cycle_mult=2, lr_share=0.5),
        ),
        lr=1e-3,
        dropout=0.5,
        weight_decay=0.05,
        lr_divisor=10,  # photographs like ImageNet's: the body is already right
    ),
)
