"""`vepe serve`: a local web application and a REST API for tracking videos.

The whole room belongs to the extra `serve`; only `vepe.cli.serve` imports it. Modules that run in
the worker processes (`worker`, `track_task`, `pose_records`) load neither FastAPI nor uvicorn.
"""
