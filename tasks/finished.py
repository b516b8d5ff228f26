"""What of a recipe is finished already: its tasks run as in a run, up to the first stage to make.

in   the recipe, its base at its commit
out  names of the stages found whole, the first that is not, and what a run would refuse for there
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tasks import staged
from tasks.core.errors import InputError, Refused
from tasks.core.hub import HubUnavailable
from tasks.core.stage import Unmade, looking


def finished_stages(run: Callable[[], object]) -> tuple[list[str], str | None, str | None]:
    """`run` calls the tasks: nothing is made, no weights come, no server of Prefect is asked."""
    staged.found_finished.clear()
    with tempfile.TemporaryDirectory() as thrown_away:
        token = looking.set(Path(thrown_away))
        try:
            missing = trouble = None
            run()
        except Unmade as error:
            missing = str(error)
        except HubUnavailable:
            pass  # weights that are not here: what comes next has to be made, or read again
        except (InputError, Refused) as error:
            trouble = str(error)
        finally:
            looking.reset(token)
    return list(staged.found_finished), missing, trouble
