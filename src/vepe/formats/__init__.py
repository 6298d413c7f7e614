"""File formats: PoseTrack 2017, 2018 and 2021, COCO, MOT, CSV, Parquet, OpenPose JSON.

Readers give `annotations.Sequence`, writers take it; `writers.write_tracks` takes `PoseTracks`.
Nothing here needs torch.
"""
