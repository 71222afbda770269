"""tools/ensure_venv.sh: it makes an environment, and empties none that is another checkout's."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "tools" / "ensure_venv.sh"


def test_an_environment_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    # A later checkout has newer tools than the environment it was lent: make took that for a reason to make it anew.
    lent = tmp_path / "lent"
    lent.mkdir()
    (lent / "installed").touch()
    link = tmp_path / ".venv"
    link.symlink_to(lent)
    ran = subprocess.run(["sh", SCRIPT, sys.executable, link], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "is a link" in ran.stderr
    assert (lent / "installed").exists()
    assert link.is_symlink()
