"""`python -m punctual.worker` is punctual-worker."""

import sys

from punctual.worker.main import main

sys.exit(main())
