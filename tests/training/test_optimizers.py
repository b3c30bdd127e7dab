import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.training.optimizers import (
    AdamW,
    learning_rate,
    momentum,
    momentum_variable,
    set_learning_rate,
    set_momentum,
)

STEPS = 8
# The momentum of each step: it changes in the middle of the run.
MOMENTA = [0.9, 0.9, 0.9, 0.5, 0.5, 0.7, 0.95, 0.9]


def regression_data():
    x = np.random.default_rng(0).normal(size=(STEPS, 4, 3)).astype("float32")
    return x, (x @ np.array([1.0, -2.0, 0.5], "float32"))[..., None] + 0.1


def linear_model(optimizer):
    """One weight vector, 3 to 1, that starts at (0.5, 0.5, 0.5); one batch a step."""
    layer = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.5)
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(optimizer, loss="mse", jit_compile=False)
    return model


class Momenta(keras.callbacks.Callback):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_train_batch_begin(self, batch, logs=None):
        set_momentum(self.model.optimizer, self.values[batch])


def train(model, callbacks=(), steps=slice(None)):
    x, y = (a[steps].reshape(-1, a.shape[-1]) for a in regression_data())
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model.get_weights()[0][:, 0]


def gradient(weights, step):
    x, y = (a[step].astype("float64") for a in regression_data())
    return 2 * x.T @ (x @ weights - y[:, 0]) / len(x)


def numpy_adam(momenta, lr, decay=0.0, clip=np.inf, beta_2=0.999):
    """Adam; the bias correction of step t is 1 - beta_1(t)**t, as Keras has it."""
    weights, m, v = np.full(3, 0.5), np.zeros(3), np.zeros(3)
    for step, beta_1 in enumerate(momenta):
        g = gradient(weights, step)
        g = g * min(1.0, clip / np.linalg.norm(g))
        weights = weights * (1 - lr * decay)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        t = step + 1
        alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        weights = weights - alpha * m / np.sqrt(v)
    return weights


def numpy_sgd(momenta, lr):
    weights, velocity = np.full(3, 0.5), np.zeros(3)
    for step, beta in enumerate(momenta):
        velocity = beta * velocity - lr * gradient(weights, step)
        weights = weights + velocity
    return weights


def numpy_rmsprop(momenta, lr, rho=0.9, epsilon=1e-7):
    weights, velocity, v = np.full(3, 0.5), np.zeros(3), np.zeros(3)
    for step, beta in enumerate(momenta):
        g = gradient(weights, step)
        v = rho * v + (1 - rho) * g * g
        velocity = beta * velocity + lr * g / np.sqrt(v + epsilon)
        weights = weights - velocity
    return weights


OPTIMIZERS = {
    "ktlite AdamW": (
        lambda: AdamW(0.1),
        lambda m: numpy_adam(m, 0.1, decay=0.01, clip=1.0),
    ),
    "Adam": (lambda: keras.optimizers.Adam(0.1), lambda m: numpy_adam(m, 0.1)),
    "AdamW": (
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.2),
        lambda m: numpy_adam(m, 0.1, decay=0.2),
    ),
    "Adam with loss scale": (
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
        lambda m: numpy_adam(m, 0.1),
    ),
    "SGD": (lambda: keras.optimizers.SGD(0.01, momentum=0.9), lambda m: numpy_sgd(m, 0.01)),
    "RMSprop": (
        lambda: keras.optimizers.RMSprop(0.01, momentum=0.9),
        lambda m: numpy_rmsprop(m, 0.01),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_momentum_set_in_mid_run_changes_the_updates_as_the_formula_says(name):
    make, expected = OPTIMIZERS[name]
    model = linear_model(make())
    # Traced with the plain number, trained with a moving one, and with the plain one again.
    train(model, steps=slice(0, 3))
    with momentum_variable(model):
        train(model, [Momenta(MOMENTA[3:7])], steps=slice(3, 7))
    assert momentum(model.optimizer) == 0.9
    found = train(model, steps=slice(7, 8))
    np.testing.assert_allclose(found, expected(MOMENTA), rtol=2e-5)
    # The test can tell: with the momentum left alone the weights are others.
    assert np.abs(found - expected([0.9] * STEPS)).max() > 1e-3


def test_momentum_is_restored_after_an_error():
    model = linear_model(keras.optimizers.Adam())
    with pytest.raises(RuntimeError), momentum_variable(model):
        set_momentum(model.optimizer, 0.1)
        raise RuntimeError
    assert model.optimizer.beta_1 == 0.9
    assert isinstance(model.optimizer.beta_1, float)


def test_only_foreign_optimizers_are_traced_again():
    ours, foreign = linear_model(AdamW()), linear_model(keras.optimizers.Adam())
    for model in (ours, foreign):
        model.make_train_function()
    before = [ours.train_function, foreign.train_function]
    with momentum_variable(ours), momentum_variable(foreign):
        assert ours.train_function is before[0]
        assert foreign.train_function is None
    assert ours.train_function is before[0]


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adagrad]
)
def test_optimizers_without_momentum_are_left_alone(optimizer):
    model = linear_model(optimizer())
    model.make_train_function()
    before = model.train_function
    with momentum_variable(model):
        set_momentum(model.optimizer, 0.5)
        assert momentum(model.optimizer) is None
        assert model.train_function is before


@pytest.mark.parametrize("optimizer", ["Nadam", "Adamax", "Lamb"])
def test_other_optimizers_train_with_a_momentum_that_changes(optimizer):
    results = []
    for values in ([0.9] * STEPS, MOMENTA):
        model = linear_model(getattr(keras.optimizers, optimizer)(0.01))
        with momentum_variable(model):
            results.append(train(model, [Momenta(values)]))
    plain = train(linear_model(getattr(keras.optimizers, optimizer)(0.01)))
    np.testing.assert_allclose(results[0], plain, rtol=1e-5)
    assert np.abs(results[1] - plain).max() > 1e-4


def test_setting_a_momentum_that_the_graph_would_not_see_is_refused():
    with pytest.raises(ArgumentError, match="momentum_variable"):
        set_momentum(keras.optimizers.Adam(), 0.5)


def test_a_model_saved_within_momentum_variable_loads_as_usual(tmp_path):
    model = linear_model(keras.optimizers.Adam())
    with momentum_variable(model):
        train(model, [Momenta([0.7] * STEPS)])
        model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.beta_1 == 0.7
    assert isinstance(loaded.optimizer.beta_1, float)
    for ours, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


# ------------------------------------------------------------------------------- AdamW


def test_adamw_has_the_defaults_of_fine_tuning():
    config = AdamW().get_config()
    expected = {
        "weight_decay": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8,
        "global_clipnorm": 1.0, "clipnorm": None, "clipvalue": None, "amsgrad": False,
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["learning_rate"] == pytest.approx(5e-5)
    assert isinstance(config["beta_1"], float)


def test_adamw_comes_back_from_its_config():
    optimizer = AdamW(0.1, 0.2, 0.8, 0.9, 1e-3, global_clipnorm=None, clipnorm=2.0)
    optimizer.beta_1 = 0.85
    copy = AdamW.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()["beta_1"] == 0.85


def variable(name, shape):
    return keras.Variable(np.full(shape, 2.0, "float32"), name=name)


@pytest.mark.parametrize("reloaded", [False, True])
@pytest.mark.parametrize(
    ("name", "shape", "decays"),
    [
        ("kernel", (3, 2), True),
        ("embeddings", (5, 2), True),
        ("kernel", (2, 3, 2), True),
        ("bias", (3,), False),
        ("gamma", (3,), False),
        ("beta", (3,), False),
        ("scale", (), False),
        ("bias", (2, 3), False),
    ],
)
def test_adamw_decays_all_but_biases_and_norms(name, shape, decays, reloaded):
    optimizer = AdamW(0.1, weight_decay=0.5)
    if reloaded:
        optimizer = AdamW.from_config(optimizer.get_config())
    weights = variable(name, shape)
    optimizer.apply([np.zeros(shape, "float32")], [weights])
    expected = 2.0 * (1 - 0.1 * 0.5) if decays else 2.0
    np.testing.assert_allclose(weights.numpy(), np.full(shape, expected), rtol=1e-6)


def test_adamw_also_skips_what_keras_is_told_to_skip():
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["embeddings"])
    weights = variable("embeddings", (2, 2))
    optimizer.apply([np.zeros((2, 2), "float32")], [weights])
    assert (weights.numpy() == 2.0).all()


def test_a_model_with_adamw_goes_on_training_after_save_and_load(tmp_path):
    model = linear_model(AdamW(0.1, weight_decay=0.2))
    train(model, [Momenta([0.6] * STEPS)])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is AdamW
    assert momentum(loaded.optimizer) == 0.6
    np.testing.assert_array_equal(train(loaded), train(model))


def test_amsgrad_is_keras():
    settings = {"weight_decay": 0.2, "epsilon": 1e-12, "amsgrad": True}
    found = train(linear_model(AdamW(0.1, global_clipnorm=None, **settings)))
    expected = train(linear_model(keras.optimizers.AdamW(0.1, **settings)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# Kernel and bias after each of five steps, from `torch_steps` below with torch 2.13.
GOLDEN = [
    [0.2897, -0.1898008, 0.0899, 0.3896, -0.4895, 0.2098, 0.06, -0.11],
    [0.289658, -0.1970482, 0.08014917, 0.3800876, -0.4790279, 0.2052207, 0.06639037, -0.1055676],
    [0.2910801, -0.2027225, 0.0767869, 0.3716978, -0.4686038, 0.1982712, 0.06422013, -0.1003778],
    [0.2882147, -0.2043725, 0.07371636, 0.3638362, -0.4581575, 0.1922629, 0.06604878, -0.09818334],
    [0.2847108, -0.2057344, 0.06770071, 0.3557558, -0.4484388, 0.1871868, 0.06361932, -0.09766622],
]


def torch_case():
    """A Dense layer, 3 to 2; x and y of 5 steps. The first gradients are clipped."""
    rng = np.random.default_rng(7)
    kernel = np.array([[0.3, -0.2], [0.1, 0.4], [-0.5, 0.2]], "float32")
    bias = np.array([0.05, -0.1], "float32")
    x = np.round(rng.normal(size=(5, 4, 3)), 2).astype("float32")
    y = np.round(rng.normal(size=(5, 4, 2)) * [3.0, 0.3], 2).astype("float32")
    return kernel, bias, x, y


def keras_steps():
    kernel, bias, x, y = torch_case()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([kernel, bias])
    model.compile(AdamW(0.01, weight_decay=0.1), loss="mse", jit_compile=False)
    for step in range(len(x)):
        model.train_on_batch(x[step], y[step])
        yield np.concatenate([w.ravel() for w in model.get_weights()])


def torch_steps():
    torch = pytest.importorskip("torch")
    kernel, bias, x, y = (torch.tensor(a) for a in torch_case())
    kernel.requires_grad_(True)
    bias.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [{"params": [kernel]}, {"params": [bias], "weight_decay": 0.0}], lr=0.01, weight_decay=0.1
    )
    for step in range(len(x)):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(x[step] @ kernel + bias, y[step]).backward()
        torch.nn.utils.clip_grad_norm_([kernel, bias], 1.0)
        optimizer.step()
        yield np.concatenate([kernel.detach().numpy().ravel(), bias.detach().numpy()])


def test_adamw_takes_the_steps_of_torch():
    np.testing.assert_allclose(list(keras_steps()), GOLDEN, rtol=2e-5, atol=1e-7)


@pytest.mark.torch
def test_adamw_takes_the_steps_of_torch_live():
    np.testing.assert_allclose(list(keras_steps()), list(torch_steps()), rtol=2e-5, atol=1e-7)


# ---------------------------------------------------------------------- learning rate


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (lambda: AdamW(5e-5), 5e-5),
        (lambda: keras.optimizers.SGD(0.1), 0.1),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(3e-4)), 3e-4),
        (
            lambda: keras.optimizers.Adam(
                keras.optimizers.schedules.ExponentialDecay(0.2, 10, 0.5)
            ),
            0.2,
        ),
    ],
)
def test_learning_rate_reads_as_it_was_written(optimizer, expected):
    assert learning_rate(optimizer()) == expected


def test_learning_rate_can_be_set_through_a_loss_scale_optimizer():
    optimizer = keras.optimizers.LossScaleOptimizer(AdamW())
    set_learning_rate(optimizer, 0.25)
    assert learning_rate(optimizer.inner_optimizer) == 0.25


def test_a_learning_rate_schedule_in_the_optimizer_is_refused():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(ArgumentError, match=r"LearningRateSchedule.*Compile .* number"):
        set_learning_rate(AdamW(schedule), 0.1)


def test_several_optimizers_at_once_are_refused():
    multi = getattr(keras.optimizers, "MultiOptimizer", None)
    if multi is None:
        pytest.skip("this Keras has no MultiOptimizer")
    optimizer = multi(keras.optimizers.OptimizerMap(keras.optimizers.Adam()))
    with pytest.raises(ArgumentError, match="no one learning rate"):
        set_learning_rate(optimizer, 0.1)


def test_weights_in_16_bits_are_refused():
    layer = keras.layers.Dense(1, dtype="bfloat16")
    layer.build((None, 3))
    with pytest.raises(ArgumentError, match=r"bfloat16.*mixed_bfloat16"):
        AdamW().build(layer.trainable_variables)


def test_what_is_the_same_for_all_weights_is_computed_once_a_step():
    """A graph of many weights has as many powers of beta as one of few."""
    import tensorflow as tf

    def powers(count):
        model = keras.Sequential(
            [keras.Input((3,)), *(keras.layers.Dense(3) for _ in range(count))]
        )
        optimizer = AdamW()
        optimizer.build(model.trainable_variables)
        spec = [tf.TensorSpec(weight.shape) for weight in model.trainable_variables]
        step = tf.function(lambda *grads: optimizer.apply(grads), input_signature=spec)
        names = [op.type for op in step.get_concrete_function().graph.get_operations()]
        assert names.count("ResourceApplyAdam") == 2 * count
        return names.count("Pow")

    assert powers(4) == powers(1) > 0
