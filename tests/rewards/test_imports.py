"""earshot.rewards in an environment that has NumPy alone."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = ("pydantic", "pyarrow", "scipy", "pandas", "rfc8785", "yaml", "torch", "trl", "prefect")

PROBE = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
import earshot.rewards
assert [m for m in sys.modules if m.startswith("earshot.")] == ["earshot.rewards"], sys.modules
from earshot.rewards import score
truth = '{{"v":1,"task":"temporal","intervals":[[2,6]],"objects":[]}}'
said = "<answer><object>dog</object><when>[2.0, 4.0]</when></answer>"
assert score("temporal", said, truth).total == 1.5
assert score("temporal", said, truth, mode="avst_zero").total == 0.5
import earshot.rewards.metrics, earshot.rewards.functions, earshot.rewards.r_avst
import earshot.rewards.rollouts
foreign = {{m.partition(".")[0] for m in sys.modules}} - set(sys.stdlib_module_names)
print(sorted(m for m in foreign if not m.startswith(("_", "earshot"))))
"""


def test_rewards_load_and_score_beside_numpy_alone() -> None:
    """With everything else out of reach the package loads, lazily, and both modes score."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout


def test_only_public_names_are_given() -> None:
    """A name that the package does not have is an AttributeError, as everywhere."""
    import earshot.rewards as rewards

    assert all(hasattr(rewards, name) for name in rewards.__all__)
    assert not hasattr(rewards, "scores")
