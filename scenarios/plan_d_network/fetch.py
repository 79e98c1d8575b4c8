"""Fetches one page from the host it is told, and says what came; exit code 1 and the error's name when nothing did."""

import errno
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.create_connection((host, port), 5) as one:
        one.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while part := one.recv(1000):
            answer += part
except socket.gaierror:
    print("no such name")
    sys.exit(1)
except OSError as error:
    print(errno.errorcode.get(error.errno or 0, "timeout"))
    sys.exit(1)
print(answer.decode().splitlines()[-1])
