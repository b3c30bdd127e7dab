"""The systems: `<name>.txt` is what pip installs, the rest what each does.

`<name>_jobs.py` is for `compare.py`, `<name>_gpu.py` for `gpu.py`, and `<name>_server.py` for
`load_test.py`.
"""
