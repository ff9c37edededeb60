"""A process of a campaign: one of the product's own, with a rule that raises and a clock that jumps when it is told to:
`python -m ops.fire.process worker lanes`."""

from ops.fire.jumping import jump_when_told
from ops.fire.raising import spoil
from ops.main import main

if __name__ == "__main__":
    spoil()
    jump_when_told()
    main()
