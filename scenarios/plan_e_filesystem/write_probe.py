"""Creates the file named by its argument and says what the kernel answered."""

import errno
import sys

path = sys.argv[1]
try:
    with open(path, "w", encoding="ascii") as file:
        file.write("written by a drill\n")
except OSError as error:
    print(f"CORDON-PROBE errno={errno.errorcode[error.errno or 0]}")
    sys.exit(1)
print(f"CORDON-PROBE wrote={path}")
