"""Prints the table of docs/scale.md: what a number of people needs, and what it costs a month.

    python -m docs.scale 10_000_000 1_000_000_000

Change the constants to what you measure (docs/capacity.md) and pay.
"""

import sys
from math import ceil

# How people use the service.
ACTIVE_A_DAY = 0.1  # of all people
READS_EACH = 30  # a day, of an active person
SIGN_UPS_A_DAY = 0.001  # of all people
SIGN_INS_A_DAY = 0.005  # of all people, each with one e-mail
PEAK = 5  # times the average

# Measured: `make bench ARGS=reads` and `python -m docs.capacity`; CPU in microseconds.
READ_US, READ_REDIS_US = 26, 5
SIGN_UP_US = {"write": 3_695, "Postgres": 12_885, "worker": 24_065}
REDIS_BYTES = 331 * 1.5  # a profile with one session, and half as much for more of them
POSTGRES_BYTES = 1_400 * 3  # with room for vacuum and indexes that have aged
REBUILD_US = 43  # of all CPU, for each profile

# Planned.
LOAD = 0.5  # of a core, at the peak
REDIS_NODE_GB = 25  # of profiles in one primary: a copy of it takes about a minute
CACHED = 0.25  # of Postgres' data, in memory

# Prices in dollars a month, of any large cloud, and of a message.
CORE, MEMORY_GB, DISK_GB = 25, 3, 0.12
EMAIL, SMS = 0.0004, 0.03

SECONDS_A_DAY = 86_400
DAYS_A_MONTH = 30


def estimate(people: int) -> dict[str, str]:
    """Returns the rows of the table for so many people."""
    reads = people * ACTIVE_A_DAY * READS_EACH / SECONDS_A_DAY * PEAK
    sign_ups = people * SIGN_UPS_A_DAY / SECONDS_A_DAY * PEAK
    read_cores = ceil(reads * READ_US / 1e6 / LOAD)
    profiles_gb = people * REDIS_BYTES / 1e9
    primaries = max(ceil(profiles_gb / REDIS_NODE_GB), ceil(reads * READ_REDIS_US / 1e6 / LOAD))
    cores = {name: ceil(sign_ups * us / 1e6 / LOAD) for name, us in SIGN_UP_US.items()}
    disk_gb = people * POSTGRES_BYTES / 1e9
    # Each Redis primary has a replica, Postgres a standby; a spare of each process.
    all_cores = read_cores + 1 + 4 * primaries + sum(cores.values()) + cores["Postgres"] + 4
    memory_gb = 2 * 1.5 * profiles_gb + 2 * CACHED * disk_gb + 0.1 * all_cores
    machines = all_cores * CORE + memory_gb * MEMORY_GB + 2 * disk_gb * DISK_GB
    sent = people * SIGN_UPS_A_DAY * DAYS_A_MONTH
    messages = sent * (EMAIL + SMS) + people * SIGN_INS_A_DAY * DAYS_A_MONTH * EMAIL
    rebuild = people * REBUILD_US / 1e6 / (primaries + 2)
    return {
        "reads a second at the peak": f"{reads:,.0f}",
        "sign-ups a second at the peak": f"{sign_ups:,.1f}",
        "read processes, a core each": f"{read_cores + 1:,}",
        "profiles in Redis": f"{profiles_gb:,.0f} GB",
        "Redis primaries, each with a replica": f"{primaries:,}",
        "cores of write processes": f"{cores['write'] + 1:,}",
        "cores of workers": f"{cores['worker'] + 1:,}",
        "cores of Postgres, and of its standby": f"{cores['Postgres']:,}",
        "disk of Postgres": f"{disk_gb:,.0f} GB",
        "rebuild of all profiles, by a core for each primary and two more": _duration(rebuild),
        "machines, a month": f"${machines:,.0f}",
        "e-mails and text messages, a month": f"${messages:,.0f}",
    }


def main() -> None:
    """Prints the table for the numbers of people in the arguments."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    columns = [estimate(number) for number in numbers]
    print("| people |" + "".join(f" {number:,} |" for number in numbers))
    print("|---|" + "---|" * len(numbers))
    for name in columns[0]:
        print(f"| {name} |" + "".join(f" {column[name]} |" for column in columns))


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


if __name__ == "__main__":
    main()
