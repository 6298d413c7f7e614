"""Results that people use: poses with their images, drawings, tables, files and events.

The value types in `vepe.types` hold arrays only. `FrameResult` and `VideoResult` are the same
values with what needs images, formats, drawing or pandas. Start reading at `frame.py`.
"""
