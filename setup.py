"""The build step that puts what a project begins with into the wheel; see pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))
from pipeline.layout import EXAMPLES, PROJECT, SHIPPED_FOLDER  # noqa: E402


class BuildWithProject(build_py):
    """Build the package, with the files of a project beside its code."""

    def run(self) -> None:
        """Copy the code, then the files, which the repository holds once."""
        super().run()
        if not self.editable_mode:  # there they are where they are
            for path in self._list_files():
                target = Path(self.build_lib, SHIPPED_FOLDER, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(path), str(target), preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """Return the files of a source distribution."""
        return [*super().get_source_files(), *map(str, self._list_files())]

    def _list_files(self) -> list[Path]:
        patterns = (*PROJECT, *EXAMPLES)
        return sorted(path.relative_to(ROOT) for each in patterns for path in ROOT.glob(each))


setup(cmdclass={"build_py": BuildWithProject})
