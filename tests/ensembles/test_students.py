"""Teachers and students: the gradient against differences, labels that mean nothing, and arguments refused."""

import numpy as np
import pytest

from rmt_lab.ensembles import orthogonal, train_student


def test_one_step_follows_the_gradient_of_the_mean_loss():
    """One update on all examples, against difference quotients of the loss before it."""
    setting = {"examples": 12, "batch": 12, "inputs": 4, "hidden": 5, "outputs": 3, "rng": 5}
    student = train_student([2, 1], lr=0.01, steps=1, **setting)
    rng = np.random.default_rng(5)
    T = student.T
    again = train_student([2, 1], steps=0, **setting)
    assert np.array_equal(again.W, again.start)
    assert np.array_equal(again.start, student.start)
    assert np.allclose(T.T @ T, np.eye(2))
    assert np.array_equal(orthogonal(4, 2, rng), T)
    B = np.diag([2.0, 1.0]) @ orthogonal(3, 2, rng).T
    X = rng.normal(size=(12, 4))
    rng.normal(size=(1000, 4)), rng.normal(size=(5, 4))
    A = rng.normal(size=(5, 3)) / 5**0.5
    Y = np.tanh(X @ T) @ B

    def mean_loss(W):
        return np.sum((np.tanh(X @ W.T) @ A - Y) ** 2) / 24

    moved = (student.start - student.W) / 0.01
    for place in ((0, 0), (4, 2), (2, 3)):
        step = np.zeros((5, 4))
        step[place] = 1e-6
        quotient = (mean_loss(student.start + step) - mean_loss(student.start - step)) / 2e-6
        assert moved[place] == pytest.approx(quotient, rel=1e-5)


def test_a_student_learns_the_teachers_directions_and_nothing_from_random_labels():
    learnt = train_student([4, 3], rng=0)
    V = np.linalg.svd(learnt.W)[2][:2]
    assert np.sum((V @ learnt.T) ** 2, axis=1).min() > 0.9
    assert learnt.new_loss < 0.05
    by_heart = train_student([4, 3], examples=500, random_labels=True, rng=0)
    assert by_heart.loss < 0.2
    assert by_heart.new_loss > 1


def test_it_is_the_same_with_the_same_seed():
    a, b = (train_student([2], examples=50, steps=9, rng=3) for _ in range(2))
    assert np.array_equal(a.W, b.W)
    assert a.new_loss == b.new_loss


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"strengths": []}, r"strengths=\[\]; 1 to 10"),
        ({"strengths": [1] * 11}, "1 to 10 of them"),
        ({"strengths": [1], "batch": 0}, "batch=0; it must be from 1 to the number of examples, 2000"),
        ({"strengths": [1], "examples": 10}, "batch=20"),
    ],
)
def test_arguments_are_refused_by_name(arguments, text):
    with pytest.raises(ValueError, match=text):
        train_student(**arguments)
