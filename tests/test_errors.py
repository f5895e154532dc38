"""The errors that users meet."""

import inspect

from stages import errors


def test_every_error_is_one_that_the_user_is_shown_as_a_message():
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(classes) > 1
    assert all(issubclass(kind, errors.StagesError) and kind.__doc__ for kind in classes)
