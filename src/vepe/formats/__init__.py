"""File formats: PoseTrack 2017, 2018 and 2021, COCO, MOT, CSV, Parquet, OpenPose JSON.

Readers return `annotations.AnnotatedSequence` and writers take it. To add a format: write a module
with a reader and a writer, list the reader in `detect.READERS`, what it can hold in
`conversion.CAPABILITIES`, the writer in `conversion._WRITERS` and, if `vepe track` should offer it,
in `tracks.WRITERS`. Nothing here needs torch.
"""
