"""The author's API of flows, and everything that runs inside the worker process.

Read `api` and `outcomes` for what an author writes, `run` for what a state gets, `engine` for how a step goes, `worker`
for the process. The daemon imports nothing of this: it starts the worker and speaks with it over a pipe.
"""
