"""The most memory that a child process has had, told by itself: source text that goes before its own."""

PEAK = '''
def peak():
    """Bytes. `ru_maxrss` begins with what the process had that started this one, so Linux is asked for better."""
    try:
        with open("/proc/self/status") as facts:
            return int(next(line for line in facts if line.startswith("VmHWM")).split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows counts memory another way
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
'''
