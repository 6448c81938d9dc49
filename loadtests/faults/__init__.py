"""`make faults`: breaks one part after another under load, and reconciles the answers of clients.

ledger.py      every request of every client, with its answer and both times
clients.py     people who sign up, confirm, change, sign out and read, on asyncio
providers.py   a stand-in for SendGrid and Vonage
plant.py       the processes of a topology
faults.py      what can break, and which statuses are right then; so do machine_faults.py,
               redis_failovers.py and postgres_failovers.py
checks.py      finds what contradicts the answers
run.py         one seed: starts, breaks, repairs, reconciles
"""
