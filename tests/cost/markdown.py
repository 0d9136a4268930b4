"""Tables as README shows them."""


def table(head, rows):
    """Prints one, each row as soon as it is there."""
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()
