"""Serves one client with pyserial's RFC 2217 port manager on a looped-back port.

Prints the address it listens on, then one JSON line with the state of the port
when the client has gone.
"""

import json
import socket
import threading

import serial
import serial.rfc2217

port = serial.serial_for_url("loop://", timeout=0.02)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
conn, _ = listener.accept()
lock = threading.Lock()
gone = threading.Event()


class Connection:
    def write(self, data):
        with lock:
            conn.sendall(data)


manager = serial.rfc2217.PortManager(port, Connection())


def pump():
    while not gone.is_set():
        data = port.read(1024)
        if data:
            Connection().write(b"".join(manager.escape(data)))


thread = threading.Thread(target=pump)
thread.start()
while True:
    data = conn.recv(1024)
    if not data:
        break
    port.write(b"".join(manager.filter(data)))
gone.set()
thread.join()
print(json.dumps({
    "baud": port.baudrate, "size": port.bytesize, "parity": port.parity, "stop": port.stopbits,
    "dtr": port.dtr, "rts": port.rts,
}))
