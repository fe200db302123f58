"""The teams of the practice leaderboards, from class frequencies to averages of small networks."""

from __future__ import annotations

from functools import partial

from runner.practice.baselines import CLASS_FREQUENCIES, Baseline, Blend, Team
from runner.practice.features import (
    binary_patterns,
    channel_statistics,
    gradient_histograms,
    histograms,
    joined,
    mean_colours,
    pixels,
    random_patches,
    thumbnails,
)
from runner.practice.models import (
    fit_boosting,
    fit_extra_trees,
    fit_kernel_svm,
    fit_linear_svm,
    fit_logistic,
    fit_naive_bayes,
    fit_neighbours,
    fit_random_forest,
    fit_stumps,
    on_components,
)
from runner.practice.networks import build_resnet, fit_network

_PX_8, _PX_16 = partial(thumbnails, side=8), partial(thumbnails, side=16)
_HOG_3, _HOG_4 = partial(gradient_histograms, side=48, cells=3), partial(gradient_histograms, side=64, cells=4)
_HOG_8 = partial(gradient_histograms, side=64, cells=8)
_TEXTURE = partial(binary_patterns, side=64)
_SHAPE = joined(_HOG_4, _HOG_8, _TEXTURE)
_ALL = joined(channel_statistics, histograms, _HOG_4, _TEXTURE)
_PATCHES = partial(random_patches, side=48, patches=160)
_PATCHES_AND_ALL = joined(_PATCHES, _ALL)
_PX_32, _PX_48, _PX_64 = (partial(pixels, side=side) for side in (32, 48, 64))

# Fitted in seconds: they are on the leaderboard of any practice data.
QUICK_TEAMS: tuple[Team, ...] = (
    CLASS_FREQUENCIES,
    Baseline("Logistic regression, mean {channel}", mean_colours, fit_logistic),
    Baseline("Nearest neighbours, 8 px", _PX_8, partial(fit_neighbours, neighbours=20)),
    Baseline("Nearest neighbours, 16 px", _PX_16, partial(fit_neighbours, neighbours=20)),
    Baseline("Nearest neighbours, {channel} statistics", channel_statistics, partial(fit_neighbours, neighbours=20)),
    Baseline("Nearest neighbours, HOG 4 x 4", _HOG_4, partial(fit_neighbours, neighbours=20)),
    Baseline("Naive Bayes, {channel} statistics", channel_statistics, fit_naive_bayes),
    Baseline("Naive Bayes, HOG 3 x 3", _HOG_3, fit_naive_bayes),
    Baseline("Logistic regression, 16 px", _PX_16, partial(fit_logistic, C=0.001)),
    Baseline("Logistic regression, {channel} statistics", channel_statistics, fit_logistic),
    Baseline("Logistic regression, {channel} histograms", histograms, partial(fit_logistic, C=0.1)),
    Baseline("Logistic regression, texture (LBP)", _TEXTURE, partial(fit_logistic, C=0.003)),
    Baseline("Logistic regression, HOG 3 x 3", _HOG_3, partial(fit_logistic, C=0.1)),
    Baseline("Logistic regression, HOG 4 x 4", _HOG_4, partial(fit_logistic, C=0.01)),
    Baseline("Logistic regression, HOG 8 x 8", _HOG_8, partial(fit_logistic, C=0.003)),
    Baseline("Logistic regression, HOG and texture", _SHAPE, partial(fit_logistic, C=0.003)),
    Baseline("Logistic regression, {channel}, HOG and texture", _ALL, partial(fit_logistic, C=0.003)),
    Baseline("Extra trees, {channel} histograms", histograms, partial(fit_extra_trees, trees=40)),
)


_SVM = Baseline("Kernel SVM, {channel}, HOG and texture", _ALL, fit_kernel_svm)
_BOOSTING = Baseline("Gradient boosting, {channel}, HOG and texture", _ALL, partial(fit_boosting, rounds=60))
_LINEAR_PATCHES = Baseline("Logistic regression, random patches", _PATCHES, partial(fit_logistic, C=0.001))
_NETWORK_32_PX = Baseline("Network, 32 px, 32 epochs", _PX_32, partial(fit_network, epochs=32))
_NETWORK_48_PX = Baseline("Network, 48 px, 24 epochs", _PX_48, partial(fit_network, epochs=24))
_LONG_NETWORK_48_PX = Baseline("Network, 48 px, 48 epochs", _PX_48, partial(fit_network, epochs=48))
_NETWORK_64_PX = Baseline("Network, 64 px, 32 epochs", _PX_64, partial(fit_network, epochs=32))
_LONG_NETWORK = Baseline("Network, 64 px, 64 epochs", _PX_64, partial(fit_network, epochs=64))
_RESNET = Baseline("ResNet, 64 px, 48 epochs", _PX_64, partial(fit_network, epochs=48, build=build_resnet))
_SECOND_RESNET = Baseline(
    "ResNet, 64 px, 48 epochs, second seed", _PX_64, partial(fit_network, epochs=48, build=build_resnet, seed=1)
)
_LONG_RESNET = Baseline("ResNet, 64 px, 96 epochs", _PX_64, partial(fit_network, epochs=96, build=build_resnet))

# Fitted in minutes: the default practice data ships with their scores.
SLOW_TEAMS: tuple[Team, ...] = (
    Baseline("Logistic regression, HOG 8 x 8, a tenth of the images", _HOG_8, partial(fit_logistic, C=0.003), 0.1),
    Baseline("Logistic regression, HOG 8 x 8, a quarter of the images", _HOG_8, partial(fit_logistic, C=0.003), 0.25),
    Baseline("Logistic regression, HOG and texture, half the images", _SHAPE, partial(fit_logistic, C=0.003), 0.5),
    Baseline("Linear SVM, HOG 4 x 4", _HOG_4, fit_linear_svm),
    Baseline("Linear SVM, HOG 8 x 8", _HOG_8, partial(fit_linear_svm, C=0.0003)),
    Baseline("Linear SVM, {channel}, HOG and texture", _ALL, partial(fit_linear_svm, C=0.0003)),
    Baseline("Kernel SVM, {channel} statistics", channel_statistics, fit_kernel_svm),
    Baseline("Kernel SVM, HOG 4 x 4", _HOG_4, fit_kernel_svm),
    _SVM,
    Baseline("Random forest, {channel} statistics", channel_statistics, fit_random_forest),
    Baseline("Random forest, HOG 4 x 4", _HOG_4, fit_random_forest),
    Baseline("Random forest, {channel}, HOG and texture", _ALL, partial(fit_random_forest, trees=300)),
    Baseline("Extra trees, HOG 4 x 4", _HOG_4, partial(fit_extra_trees, trees=100)),
    Baseline("Extra trees, {channel}, HOG and texture", _ALL, partial(fit_extra_trees, trees=300)),
    Baseline("Boosted stumps, {channel} statistics", channel_statistics, partial(fit_stumps, rounds=100)),
    Baseline("Boosted stumps, {channel}, HOG and texture", _ALL, partial(fit_stumps, rounds=200)),
    Baseline("Gradient boosting, {channel} statistics", channel_statistics, partial(fit_boosting, rounds=30)),
    Baseline("Gradient boosting, HOG 4 x 4", _HOG_4, partial(fit_boosting, rounds=60)),
    _BOOSTING,
    Baseline("Logistic regression, 60 components of 16 px", _PX_16, on_components(partial(fit_logistic, C=0.03), 60)),
    Baseline("Kernel SVM, 60 components of 16 px", _PX_16, on_components(fit_kernel_svm, 60)),
    _LINEAR_PATCHES,
    Baseline("Linear SVM, random patches", _PATCHES, partial(fit_linear_svm, C=0.0001)),
    Baseline(
        "Logistic regression, random patches, {channel}, HOG, texture", _PATCHES_AND_ALL, partial(fit_logistic, C=0.001)
    ),
    Baseline("Network, 32 px, 4 epochs", _PX_32, partial(fit_network, epochs=4)),
    Baseline("Network, 32 px, 8 epochs", _PX_32, partial(fit_network, epochs=8)),
    Baseline("Network, 32 px, 16 epochs", _PX_32, partial(fit_network, epochs=16)),
    _NETWORK_32_PX,
    Baseline("Network, 48 px, 6 epochs", _PX_48, partial(fit_network, epochs=6)),
    Baseline("Network, 48 px, 12 epochs", _PX_48, partial(fit_network, epochs=12)),
    _NETWORK_48_PX,
    _LONG_NETWORK_48_PX,
    Baseline("Network, 64 px, 8 epochs", _PX_64, partial(fit_network, epochs=8)),
    Baseline("Network, 64 px, 16 epochs", _PX_64, partial(fit_network, epochs=16)),
    Baseline("Network, 64 px, 16 epochs, half the images", _PX_64, partial(fit_network, epochs=16), 0.5),
    _NETWORK_64_PX,
    _LONG_NETWORK,
    Baseline("ResNet, 64 px, 6 epochs", _PX_64, partial(fit_network, epochs=6, build=build_resnet)),
    Baseline("ResNet, 64 px, 12 epochs", _PX_64, partial(fit_network, epochs=12, build=build_resnet)),
    Baseline("ResNet, 64 px, 24 epochs", _PX_64, partial(fit_network, epochs=24, build=build_resnet)),
    _RESNET,
    _SECOND_RESNET,
    _LONG_RESNET,
    Blend("Mean of SVM and gradient boosting", (_SVM, _BOOSTING)),
    Blend("Mean of SVM, gradient boosting and patches", (_SVM, _BOOSTING, _LINEAR_PATCHES)),
    Blend("Mean of a network and patches", (_NETWORK_48_PX, _LINEAR_PATCHES)),
    Blend("Mean of a network and gradient boosting", (_NETWORK_64_PX, _BOOSTING)),
    Blend("Mean of two networks, 32 and 48 px", (_NETWORK_32_PX, _NETWORK_48_PX)),
    Blend("Mean of two networks, 48 and 64 px", (_LONG_NETWORK_48_PX, _NETWORK_64_PX)),
    Blend("Mean of a network and a ResNet, 64 px", (_LONG_NETWORK, _RESNET)),
    Blend("Mean of two ResNets, 64 px, 48 epochs", (_RESNET, _SECOND_RESNET)),
    Blend("Mean of two ResNets, 64 px, 48 and 96 epochs", (_RESNET, _LONG_RESNET)),
    Blend("Mean of three ResNets, 64 px", (_RESNET, _SECOND_RESNET, _LONG_RESNET)),
    Blend("Mean of three ResNets and a network, 64 px", (_RESNET, _SECOND_RESNET, _LONG_RESNET, _LONG_NETWORK)),
)
TEAMS: tuple[Team, ...] = (*QUICK_TEAMS, *SLOW_TEAMS)
