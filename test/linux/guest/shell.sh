#!/bin/sh
# The first process: offers a shell on the console. `poweroff -f` ends the machine.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
# The shell gets the console as its controlling terminal, so that Ctrl-C reaches what it runs.
exec setsid -c sh
