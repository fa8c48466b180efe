from pipeline.building.encoder import load_encoder as load_encoder
from pipeline.commands.embed import embed as embed
from pipeline.reporting.comparing.runs import read_run as open_run

__all__ = ["PUBLIC", "embed", "load_encoder", "open_run"]

PUBLIC: dict[str, tuple[str, str]]
