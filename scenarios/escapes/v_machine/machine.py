"""Guest root after a taken-over agent, outside every sandbox: what it can do to the machine. One line of JSON at the end.

Each probe raises what the kernel told it (`OSError`), `Absent` for what is not there, or gets through.
"""

import ctypes
import errno
import glob
import json
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
MARK = b"cordon was here"


class Absent(Exception):
    pass


def read(path):
    with open(path) as file:
        return file.read().strip()


def pci():
    """vendor, device, class of everything on the PCI buses."""
    found = []
    for path in sorted(glob.glob("/sys/bus/pci/devices/*")):
        found.append((read(f"{path}/vendor")[2:], read(f"{path}/device")[2:], read(f"{path}/class")[2:]))
    return found


def on_bus(name, fits):
    if not any(fits(*device) for device in pci()):
        raise Absent(name)


def call(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def usb():
    on_bus("usb", lambda _v, _d, kind: kind.startswith("0c03"))


def graphics():
    on_bus("graphics", lambda _v, _d, kind: kind.startswith("03"))


def sound():
    on_bus("sound", lambda _v, _d, kind: kind.startswith("04"))


def scsi():
    on_bus("scsi", lambda vendor, _d, kind: kind.startswith("0100") and vendor != "1af4")


def nvme():
    on_bus("nvme", lambda _v, _d, kind: kind.startswith("0108"))


def sata():
    on_bus("sata", lambda _v, _d, kind: kind.startswith("0106"))


def e1000():
    on_bus("network card", lambda _v, _d, kind: kind.startswith("02"))


def watchdog():
    on_bus("watchdog", lambda vendor, device, _k: (vendor, device) == ("8086", "25ab"))


def balloon():
    on_bus("balloon", lambda vendor, device, _k: vendor == "1af4" and device in {"1002", "1045"})


def dma_device():
    on_bus("test device", lambda vendor, _d, _k: vendor == "1234")


def floppy():
    if not glob.glob("/sys/bus/acpi/devices/PNP0700:*"):
        raise Absent("floppy")


def smbus():
    on_bus("smbus", lambda _v, _d, kind: kind.startswith("0c05"))


def nested():
    flags = next(line for line in read("/proc/cpuinfo").splitlines() if line.startswith("flags")).split()
    if not {"vmx", "svm"} & set(flags):
        raise Absent("nested virtualisation")


def iso_write():
    handle = os.open("/dev/vdb", os.O_WRONLY | os.O_SYNC)
    os.pwrite(handle, MARK, 0)
    os.close(handle)


def iso_unprotect():
    """Tell the kernel that the agent disk may be written, then write past its driver's cache."""
    handle = os.open("/dev/vdb", os.O_RDONLY)
    call(libc.ioctl(handle, 0x125D, ctypes.byref(ctypes.c_int(0))))  # BLKROSET
    os.close(handle)
    iso_write()


def port_io():
    call(libc.iopl(3))


def fw_cfg():
    """The host's answers at QEMU's configuration port: asked for its signature by machine code of four bytes."""
    call(libc.ioperm(0x510, 2, 1))
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # mov edx, edi; mov eax, esi; out dx, ax; ret - and: mov edx, edi; xor eax, eax; in al, dx; ret
    code.write(b"\x89\xfa\x89\xf0\x66\xef\xc3".ljust(16, b"\x90") + b"\x89\xfa\x31\xc0\xec\xc3")
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(start)(0x510, 0)
    take = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(start + 16)
    if bytes(take(0x511) & 255 for _ in range(4)) != b"QEMU":
        raise Absent("the configuration port")


def dev_mem():
    handle = os.open("/dev/mem", os.O_RDWR)
    os.pread(handle, 16, 0xF0000)


def kcore():
    handle = os.open("/proc/kcore", os.O_RDONLY)
    os.read(handle, 64)


def pci_config():
    path = "/sys/bus/pci/devices/0000:00:1f.0/config"
    handle = os.open(path, os.O_RDWR)
    os.pwrite(handle, os.pread(handle, 1, 0x3C), 0x3C)


def pci_bar():
    path = glob.glob("/sys/bus/pci/devices/0000:01:00.0/resource1")[0]
    handle = os.open(path, os.O_RDWR)
    mmap.mmap(handle, 4096).close()


def kexec():
    call(libc.syscall(246, 0, 0, None, 0))


def module():
    handle = os.open("/opt/cordon/modules/overlay.ko", os.O_RDONLY)
    if libc.syscall(313, handle, b"", 0) < 0 and ctypes.get_errno() != errno.EEXIST:
        raise OSError(ctypes.get_errno(), "")


def clock_source():
    """Harmless: what any root may read."""
    read("/sys/devices/system/clocksource/clocksource0/current_clocksource")


PROBES = [
    usb, graphics, sound, scsi, nvme, sata, e1000, watchdog, balloon, dma_device, floppy, smbus, nested, iso_write,
    iso_unprotect, port_io, fw_cfg, dev_mem, kcore, pci_config, pci_bar, kexec, module, clock_source,
]


def tell(probe):
    try:
        probe()
    except Absent as absent:
        return f"absence {absent}"
    except OSError as error:
        return f"errno {errno.errorcode[error.errno]}"
    return ""


def write_everywhere():
    """The last sector of the disk the overlay stands for, and the gold image's own first one."""
    handle = os.open("/dev/vda", os.O_WRONLY | os.O_SYNC)
    end = os.lseek(handle, 0, os.SEEK_END)
    os.pwrite(handle, MARK.ljust(512), end - 512)
    os.close(handle)
    handle = os.open("/dev/vda", os.O_RDONLY)
    os.lseek(handle, end - 512, os.SEEK_SET)
    return os.read(handle, len(MARK)) == MARK


told = {probe.__name__: tell(probe) for probe in PROBES}
told["uid"] = os.getuid()
told["pci"] = sorted(":".join(device) for device in pci())
if "write" in sys.argv:
    told["wrote"] = write_everywhere()
print("CORDON-MACHINE " + json.dumps(told), flush=True)
