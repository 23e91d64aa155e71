"""Small networks trained on a task whose truth is known: the teacher and the student of the notebooks on training.

The teacher looks at r orthonormal directions of the inputs, the columns of T, and answers y = tanh(x T) B; the rows of
B are orthogonal and as long as the directions are strong. The student, h = tanh(x W^T) with outputs h A, learns W and A
by plain stochastic gradient descent from noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._arrays import Array
from .matrices import orthogonal


@dataclass(frozen=True, eq=False, repr=False)
class Student:
    """A trained student beside its teacher; made by :func:`train_student`.

    Attributes
    ----------
    W, start : array of shape (hidden, inputs)
        Hidden weights after training and before it.
    T : array of shape (inputs, directions)
        The teacher's directions, orthonormal columns.
    loss, new_loss : float
        Squared error over the sum of squares of the targets, on the examples and on 1000 new ones. The new targets are
        always the teacher's. A network that always says 0 has 1.
    """

    W: Array
    start: Array
    T: Array
    loss: float
    new_loss: float

    def __repr__(self) -> str:
        hidden, inputs = self.W.shape
        return f"Student({hidden} x {inputs}, loss {self.loss:.3f}, on new examples {self.new_loss:.3f})"


def train_student(
    strengths: npt.ArrayLike,
    examples: int = 2000,
    batch: int = 20,
    lr: float = 0.1,
    steps: int = 1600,
    outputs: int = 10,
    inputs: int = 100,
    hidden: int = 200,
    random_labels: bool = False,
    rng: np.random.Generator | int | None = None,
) -> Student:
    """Draw a teacher, examples and a student, and train the student.

    Each step follows the gradient of the mean over a batch of |h A - y|^2 / 2; batches are dealt from a shuffled deck
    of all examples. W starts with standard deviation 1/sqrt(inputs), A with 1/sqrt(hidden).

    Parameters
    ----------
    strengths : array_like
        Of the teacher's directions: the lengths of the rows of B. At most ``inputs`` and at most ``outputs``.
    examples, batch, steps : int
    lr : float
        Learning rate, the same in all steps.
    outputs, inputs, hidden : int
    random_labels : bool, default False
        Deal the targets out to the examples at random, so that there is nothing to understand.
    rng : Generator, int or None
        Draws the teacher, the examples, the start and the order of the batches.

    Raises
    ------
    ValueError
        If there are no strengths or too many, or a batch is larger than the number of examples.

    Examples
    --------
    >>> train_student([3, 3], examples=200, steps=50, rng=0)
    Student(200 x 100, loss 0.021, on new examples 0.215)
    """
    lengths = np.atleast_1d(np.asarray(strengths, dtype=np.float64))
    if lengths.ndim != 1 or not 1 <= len(lengths) <= min(inputs, outputs):
        raise ValueError(f"strengths={strengths!r}; 1 to {min(inputs, outputs)} of them are allowed")
    if not 1 <= batch <= examples:
        raise ValueError(f"batch={batch}; it must be from 1 to the number of examples, {examples}")
    rng = np.random.default_rng(rng)
    T = orthogonal(inputs, len(lengths), rng)
    B = lengths[:, None] * orthogonal(outputs, len(lengths), rng).T
    X, new = rng.normal(size=(examples, inputs)), rng.normal(size=(1000, inputs))
    W = start = rng.normal(size=(hidden, inputs)) / np.sqrt(inputs)
    A = rng.normal(size=(hidden, outputs)) / np.sqrt(hidden)
    Y = np.tanh(X @ T) @ B
    Y = rng.permutation(Y) if random_labels else Y
    deck = np.arange(0)
    for _ in range(steps):
        if len(deck) < batch:
            deck = rng.permutation(examples)
        now, deck = deck[:batch], deck[batch:]
        h = np.tanh(X[now] @ W.T)
        error = (h @ A - Y[now]) / batch
        back = (error @ A.T) * (1 - h**2)
        W, A = W - lr * back.T @ X[now], A - lr * h.T @ error
    return Student(W, start, T, _loss(X, Y, W, A), _loss(new, np.tanh(new @ T) @ B, W, A))


def _loss(X: Array, Y: Array, W: Array, A: Array) -> float:
    return float(np.sum((np.tanh(X @ W.T) @ A - Y) ** 2) / np.sum(Y**2))
