"""libvfiolab, with the types of its functions."""
import ctypes
import os


def _load():
    # Where CMake has built or installed it; else where the loader looks.
    given = os.environ.get("VFIOLAB_LIBRARY")
    return ctypes.CDLL(given or "libvfiolab.so.0", use_errno=True)


library = _load()

_host, _fd, _size, _offset = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_int64
_text, _pointer = ctypes.c_char_p, ctypes.c_void_p

_FUNCTIONS = {
    "vfiolab_create_with_models": (_pointer, [_text, _text, _pointer, _pointer]),
    "vfiolab_destroy": (None, [_host]),
    "vfiolab_open": (ctypes.c_int, [_host, _text, ctypes.c_int]),
    "vfiolab_close": (ctypes.c_int, [_host, _fd]),
    "vfiolab_ioctl": (ctypes.c_int, [_host, _fd, ctypes.c_ulong, _pointer]),
    "vfiolab_read": (ctypes.c_ssize_t, [_host, _fd, _pointer, _size]),
    "vfiolab_write": (ctypes.c_ssize_t, [_host, _fd, _pointer, _size]),
    "vfiolab_pread": (ctypes.c_ssize_t, [_host, _fd, _pointer, _size, _offset]),
    "vfiolab_pwrite": (ctypes.c_ssize_t, [_host, _fd, _pointer, _size, _offset]),
    "vfiolab_mmap": (_pointer, [_host, _pointer, _size, ctypes.c_int, ctypes.c_int, _fd, _offset]),
    "vfiolab_munmap": (ctypes.c_int, [_host, _pointer, _size]),
    "vfiolab_readlink": (ctypes.c_ssize_t, [_host, _text, _pointer, _size]),
    "vfiolab_list": (_pointer, [_host, _text]),
    "vfiolab_now": (ctypes.c_uint64, [_host]),
    "vfiolab_advance": (None, [_host, ctypes.c_uint64]),
    "vfiolab_next_event": (ctypes.c_uint64, [_host]),
    "vfiolab_take_signals": (ctypes.c_uint64, [_fd]),
    "vfiolab_take_fault": (ctypes.c_int, [_host, _pointer]),
    "free": (None, [_pointer]),
}
for _name, (_result, _arguments) in _FUNCTIONS.items():
    _function = getattr(library, _name)
    _function.restype, _function.argtypes = _result, _arguments
