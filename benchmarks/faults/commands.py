"""The commands of VEPE with valid inputs. A new command, or a new input of one, is one row.

In arguments, `IN` is a folder with copies of the named samples and `OUT` a folder for results.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SMALL = "--model IN/tiny.safetensors --imgsz 64"


@dataclass(frozen=True)
class Command:
    """A command that works on its inputs.

    Attributes:
        arguments: of `vepe`, separated by spaces.
        inputs: samples that are copied to `IN`.
        damage: which of these may be damaged: a kind of content, and a path below `IN`, or, with
            `OUT/` in front, of what lies in `OUT` before.
        writes: files and folders below `OUT` that it makes.
        codes: exit codes that are right for damaged inputs.
        old: whether `--overwrite` has to be added where results exist already.
        needs: a package of an extra, without which the command is left out.
        slow: whether it takes more than a second, so that it is drawn less often.
        after: arguments of the command whose results lie in `OUT` before.
        timed: whether its results hold times, so that no two are equal.
        atomic_folders: whether folders that it writes appear whole; of others, each file does.
    """

    arguments: str
    inputs: tuple[str, ...]
    damage: tuple[tuple[str, str], ...] = ()
    writes: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0, 2)
    old: bool = True
    needs: str = ""
    slow: bool = False
    after: str = ""
    timed: bool = False
    atomic_folders: bool = True

    @property
    def name(self) -> str:
        """The command without options, and what it reads."""
        words = [word for word in self.arguments.split() if word != "-o"]
        return " ".join(words[:3])

    @property
    def logs(self) -> bool:
        """Whether it logs its progress to stderr."""
        return self.arguments.startswith("train ") and self.arguments.split()[1] != "report"

    def words(self, folder: Path, *, overwrite: bool = False) -> list[str]:
        """The command line for a trial's folder."""
        places = (("IN", "in"), ("OUT", "out"))
        words = self.arguments.split()
        for name, place in places:
            words = [_replaced(word, name, str(folder / place)) for word in words]
        return [*words, "--overwrite"] if overwrite and self.old else words


def _replaced(word: str, name: str, path: str) -> str:
    head, equals, tail = word.rpartition("=")
    return f"{head}{equals}{path}{tail.removeprefix(name)}" if tail.startswith(name) else word


def _track(name: str, options: str = "", writes: tuple[str, ...] = ()) -> Command:
    stem = Path(name).stem
    kind = "frames" if "." not in name else "video"
    return Command(
        f"track IN/{name} -o OUT {SMALL} {options}",
        (name, "tiny.safetensors"),
        ((kind, name),),
        writes or (f"{stem}.mp4", f"{stem}.json"),
    )


def _convert(source: str, to: str, target: str, kind: str, needs: str = "") -> Command:
    arguments = f"convert IN/{source} OUT/{target} --to {to}"
    return Command(arguments, (source,), ((kind, source),), (target,), needs=needs)


_TEXT = ("posetrack18", "a.json"), ("csv", "a.csv"), ("parquet", "a.parquet"), ("mot", "a.txt")
_SEQUENCE = "000001_bonn_train.json"
_FRAMES = "pt18/images/train/000001_bonn_train"
_PAIR = (("json", f"gt/{_SEQUENCE}"), ("json", f"pred/{_SEQUENCE}"))
_COCO_PAIR = (("json", "coco/labels.json"), ("json", "coco/results.json"))
_CROWD_PAIR = (("json", "crowd.json"), ("json", "crowd_results.json"))
_IMAGES = ("images", "tiny.safetensors")
_TRAIN = "train IN/recipe.yaml --data-root IN -o OUT/run"
_BATCH = f"track IN/videos -o OUT --no-video --format csv {SMALL}"
_BATCH_FILES = ("avi_clip.json", "avi_clip.csv", "mkv_clip.json", "mkv_clip.csv")

_ALL: tuple[Command, ...] = (
    # Media.
    _track("clip.mp4"),
    _track("clip.mov"),
    _track("clip.mkv", "--smooth causal"),
    _track("clip.avi"),
    _track("clip.ts", "--no-video", ("clip.json",)),
    _track("clip.webm", "--start 0.3"),
    _track("clip.gif"),
    _track("clip.flv", "--stride 2"),
    _track("moving.png"),
    _track("moving.webp"),
    _track("frames"),
    _track("clip.mp4", "--smooth offline --format csv --format parquet --format openpose",
           ("clip.mp4", "clip.json", "clip.csv", "clip.parquet", "clip_openpose")),
    Command(f"predict IN/images -o OUT/p.json {SMALL}", _IMAGES,
            (("image", "images/*"),), ("p.json",)),
    Command(f"predict IN/images/a.jpg IN/images/b.png -o OUT/p.json --draw OUT/drawn {SMALL}",
            _IMAGES, (("image", "images/[ab].*"),), ("p.json", "drawn"), atomic_folders=False),
    Command(f"track IN/clip.mp4 IN/clip.avi -o OUT --no-video --format csv {SMALL}",
            ("clip.mp4", "clip.avi", "tiny.safetensors"),
            (("video", "clip.mp4"), ("video", "clip.avi")), (), (0, 2, 3)),
    Command(f"track IN/videos -o OUT --no-video --resume {SMALL}",
            ("videos", "tiny.safetensors"), (("video", "videos/*"),), (), (0, 2, 3), old=False),
    Command(_BATCH, ("videos", "tiny.safetensors"), (("video", "videos/*"),), _BATCH_FILES,
            (0, 2, 3)),
    Command(f"{_BATCH} --resume", ("videos", "tiny.safetensors"),
            (("json", "OUT/*.json"), ("binary", "OUT/*.csv"), ("video", "videos/*")),
            _BATCH_FILES, (0, 2, 3), after=_BATCH),
    Command("track IN/many -o OUT --no-video " + SMALL, ("many", "tiny.safetensors"),
            (("video", "many/*"),), (), (0, 2, 3), slow=True),
    # Saved poses.
    Command("draw IN/table.csv -o OUT/d.mp4", ("table.csv",), (("table", "table.csv"),),
            ("d.mp4",)),
    Command(f"draw IN/pred/{_SEQUENCE} IN/{_FRAMES} -o OUT/d.mp4", ("pred", "pt18"),
            (("json", f"pred/{_SEQUENCE}"), ("frames", _FRAMES)), ("d.mp4",)),
    Command(f"measure IN/pred/{_SEQUENCE} -o OUT/m.csv -o OUT/m.json --plot OUT/m.html",
            ("pred",), (("json", f"pred/{_SEQUENCE}"),), ("m.csv", "m.json", "m.html")),
    Command("measure IN/table.parquet -o OUT/m.parquet --height 1.8", ("table.parquet",),
            (("parquet", "table.parquet"),), ("m.parquet",)),
    Command(f"report IN/pred/{_SEQUENCE} IN/{_FRAMES} -o OUT/q.html", ("pred", "pt18"),
            (("json", f"pred/{_SEQUENCE}"), ("frames", _FRAMES)), ("q.html",)),
    Command("report IN/table.csv --no-video -o OUT/q.html", ("table.csv",),
            (("table", "table.csv"),), ("q.html",)),
    Command(f"edit IN/pred/{_SEQUENCE} -o OUT/e.json --swap 4,5@0.05s --drop 4", ("pred",),
            (("json", f"pred/{_SEQUENCE}"),), ("e.json",)),
    Command("edit IN/table.csv -o OUT/e.csv --drop 5", ("table.csv",),
            (("table", "table.csv"),), ("e.csv",)),
    Command("push IN/tiny.safetensors me/mine --dry-run", ("tiny.safetensors",),
            (("binary", "tiny.safetensors"),)),
    # Weights.
    Command("models IN/tiny.safetensors", ("tiny.safetensors",), (("binary", "tiny.safetensors"),)),
    Command("models IN/model.yaml", ("model.yaml",), (("yaml", "model.yaml"),)),
    Command(f"predict IN/images/b.png -o OUT/p.json {SMALL}", _IMAGES,
            (("binary", "tiny.safetensors"),), ("p.json",)),
    # Exported models.
    Command("predict IN/images/b.png -o OUT/p.json --model IN/tiny.onnx --imgsz 64",
            ("images", "tiny.onnx"), (("onnx", "tiny.onnx"), ("image", "images/b.png")),
            ("p.json",)),
    Command("track IN/clip.mkv -o OUT --no-video --model IN/tiny.onnx --imgsz 64",
            ("clip.mkv", "tiny.onnx"), (("onnx", "tiny.onnx"), ("video", "clip.mkv")),
            ("clip.json",)),
    Command("models IN/tiny.onnx", ("tiny.onnx",), (("onnx", "tiny.onnx"),)),
    Command("benchmark IN/clip.mp4 --model IN/tiny.onnx --imgsz 64 --frames 6 --json OUT/t.json",
            ("clip.mp4", "tiny.onnx"), (("onnx", "tiny.onnx"), ("video", "clip.mp4")),
            ("t.json",), old=False, timed=True),
    Command("export IN/tiny.safetensors -o OUT/e.onnx --imgsz 64x64 --video IN/clip.mp4",
            ("tiny.safetensors", "clip.mp4"),
            (("binary", "tiny.safetensors"), ("video", "clip.mp4")), ("e.onnx",), needs="onnx",
            slow=True),
    # Annotations.
    *(_convert(f"pred/{_SEQUENCE}", to, name, "json") for to, name in _TEXT),
    _convert(f"gt/{_SEQUENCE}", "posetrack17", "a.json", "json"),
    _convert(f"pred/{_SEQUENCE}", "openpose", "a", "json"),
    _convert("old.json", "posetrack21", "a.json", "json"),
    _convert("new21.json", "coco", "a.json", "json"),
    _convert("video.json", "posetrack18", "a.json", "json"),
    _convert("table.csv", "posetrack18", "a.json", "table"),
    _convert("table.parquet", "posetrack18", "a.json", "parquet"),
    _convert("boxes.txt", "posetrack18", "a.json", "table"),
    _convert("openpose", "coco", "a.json", "openpose"),
    _convert("old.mat", "posetrack18", "a.json", "mat"),
    _convert("packed.mat", "csv", "a.csv", "mat"),
    _convert("tasks.json", "coco", "a.json", "json"),
    _convert(f"gt/{_SEQUENCE}", "label-studio", "a.tasks.json", "json"),
    _convert("poses.h5", "coco", "a.json", "binary", needs="h5py"),
    _convert("poses.slp", "coco", "a.json", "binary", needs="sleap_io"),
    _convert(f"pred/{_SEQUENCE}", "hdf5", "a.h5", "json", needs="h5py"),
    _convert(f"pred/{_SEQUENCE}", "slp", "a.slp", "json", needs="sleap_io"),
    _convert(f"pred/{_SEQUENCE}", "nwb", "a.nwb", "json", needs="pynwb"),
    Command(f"convert IN/pred OUT/s.zip --to submission --like IN/gt/{_SEQUENCE}", ("pred", "gt"),
            _PAIR, ("s.zip",)),
    # Scores.
    Command("evaluate posetrack --gt IN/gt --pred IN/pred --json OUT/r.json --per-sequence",
            ("gt", "pred"), _PAIR, ("r.json",), old=False),
    Command("evaluate posetrack --gt IN/gt --pred IN/pred --report OUT/report",
            ("gt", "pred"), _PAIR, ("report",), slow=True),
    Command("evaluate coco --gt IN/coco/labels.json --pred IN/coco/results.json --json OUT/r.json",
            ("coco",), _COCO_PAIR, ("r.json",), old=False),
    Command("evaluate crowdpose --gt IN/crowd.json --pred IN/crowd_results.json --json OUT/r.json",
            ("crowd.json", "crowd_results.json"), _CROWD_PAIR, ("r.json",), old=False),
    Command("evaluate coco --gt IN/coco/labels.json --images IN/coco/images --joints shared "
            + SMALL, ("coco", "tiny.safetensors"),
            (("json", "coco/labels.json"), ("image", "coco/images/*"))),
    Command("evaluate posetrack --gt IN/pt18/posetrack_data/annotations/train --images IN/pt18 "
            + SMALL,
            ("pt18", "tiny.safetensors"), (("image", "pt18/images/train/000001_bonn_train/*"),
             ("json", f"pt18/posetrack_data/annotations/train/{_SEQUENCE}"))),
    Command("evaluate tracks --gt IN/gt --pred IN/pred --json OUT/r.json --worst 3",
            ("gt", "pred"), _PAIR, ("r.json",), old=False),
    Command("evaluate tracks --gt IN/table.csv --pred IN/boxes.txt --similarity box",
            ("table.csv", "boxes.txt"), (("table", "table.csv"), ("table", "boxes.txt")),
            (), old=False),
    # Data sets.
    Command("data check IN/pt18 --json OUT/c.json", ("pt18",),
            (("json", f"pt18/posetrack_data/annotations/train/{_SEQUENCE}"),
             ("image", f"{_FRAMES}/*")),
            ("c.json",), (0, 1, 2), old=False),
    Command("data check IN/coco --quick", ("coco",),
            (("json", "coco/labels.json"), ("image", "coco/images/*")), (), (0, 1, 2)),
    Command("data shard IN/coco/labels.json --images IN/coco/images -o OUT/s --stills", ("coco",),
            (("json", "coco/labels.json"), ("image", "coco/images/*")), ("s",),
            atomic_folders=False),
    Command("data shard IN/set/labels.json -o OUT/s", ("set",), (("json", "set/labels.json"),),
            ("s",), atomic_folders=False),
    # Training.
    Command(_TRAIN, ("recipe.yaml", "set"),
            (("yaml", "recipe.yaml"), ("json", "set/labels.json"),
             ("image", "set/images/labels/*")),
            ("run",), old=False, slow=True, atomic_folders=False),
    Command("train --grid IN/grid.yaml --data-root IN -o OUT/grid",
            ("grid.yaml", "recipe.yaml", "set"), (("yaml", "grid.yaml"), ("yaml", "recipe.yaml")),
            ("grid",), (0, 2, 3), old=False, slow=True, atomic_folders=False),
    Command("train report OUT/run", (),
            (("lines", "OUT/run/log.jsonl"), ("yaml", "OUT/run/recipe.yaml"),
             ("json", "OUT/run/environment.json"), ("json", "OUT/run/worst/worst.json"),
             ("image", "OUT/run/worst/*.jpg")),
            ("run/index.html",), old=False, after=_TRAIN, atomic_folders=False),
    # What needs no input, and rendered video.
    Command("doctor", (), (), (), (0, 1)),
    Command("synth OUT/set --videos 1 --frames 2 --size 64x64 --people 1 --workers 1 "
            "--backgrounds IN/images", ("images",), (("image", "images/*"),), ("set",), old=False,
            needs="moderngl", slow=True, atomic_folders=False),
)  # fmt: skip

COMMANDS = tuple(c for c in _ALL if not c.needs or find_spec(c.needs) is not None)
"""The commands whose packages are installed."""
