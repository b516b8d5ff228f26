"""Only the demo: its own base model and raw data are put on the Hub before anything is loaded."""

from prefect import flow

from tasks.core.publish import Repository
from tasks.core.settings import Seed
from tasks.seed import put_on_hub, train_tiny_base, write_conversations


@flow(name="seed-hub")
def seed_hub(seed: Seed) -> list[Repository]:
    """Tiny chat model and identity conversations, from our own corpus."""
    return put_on_hub(seed, train_tiny_base(seed), write_conversations())
