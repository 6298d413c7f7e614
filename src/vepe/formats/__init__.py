"""File formats: PoseTrack, COCO, MOT, CSV, Parquet, HDF5, OpenPose, Label Studio, SLEAP, rerun.

Readers return `annotations.AnnotatedSequence` and writers take it. To add a format: write a module
with a reader and a writer, list the reader in `detect.READERS`, what it can hold in
`conversion.CAPABILITIES`, the writer in `conversion._WRITERS` and, if `vepe track` should offer it,
in `tracks.WRITERS`. Nothing here needs torch.
"""
