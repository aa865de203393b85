#!/bin/sh
# The first process of the Linux tests: uses the machine and prints results that the test knows beforehand.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp

result() { echo "scenario: $*"; }

result cpus $(grep -c ^processor /proc/cpuinfo)
result mounts $(grep -cE '^(proc /proc|sysfs /sys|devtmpfs /dev|tmpfs /tmp) ' /proc/mounts)
result sysfs $(cat /sys/class/tty/console/active)

before=$(awk '/^processes/ { print $2 }' /proc/stat)
sum=0
i=0
while [ $i -lt 300 ]; do
  (exit $((i % 5)))
  sum=$((sum + $?))
  i=$((i + 1))
done
after=$(awk '/^processes/ { print $2 }' /proc/stat)
result forks $sum $([ $((after - before)) -ge 300 ] && echo counted)

seq 1 20000 > /tmp/numbers
result sha256sum $(sha256sum < /tmp/numbers)

gzip < /tmp/numbers > /tmp/numbers.gz
gunzip < /tmp/numbers.gz > /tmp/numbers.back
cmp /tmp/numbers /tmp/numbers.back && result gzip same $(wc -c < /tmp/numbers.back)

# Sums, quotients and roots by Newton's method: what an awk without a mathematics library can do.
result awk $(awk 'BEGIN {
  for (n = 1; n <= 1000; n++) harmonic += 1 / n
  for (root = 2; (next_root = (root + 2 / root) / 2) < root; ) root = next_root
  for (term = n = 1; n < 30; n++) { e += term; term /= n }
  printf "%.12f %.15g %.17g %.6e %.0f", harmonic, root, e, 1 / 3e200, 1e15 / 7
}')

sleep 1000 &
kill -9 $!
wait $! 2>/dev/null
result killed $?

mkdir /tmp/files
for i in 1 2 3 4 5 6 7 8 9 10; do head -c $((i * 1000)) /dev/zero > /tmp/files/$i; done
rm /tmp/files/3
mv /tmp/files/4 /tmp/files/four
ln -s four /tmp/files/link
result tmpfs $(ls /tmp/files | wc -l) $(cat /tmp/files/* | wc -c) $(readlink /tmp/files/link)

# Two processes at once, which two processors share.
(seq 1 9000 | md5sum > /tmp/first) &
(seq 1 9000 | md5sum > /tmp/second) &
wait
cmp /tmp/first /tmp/second && result parallel $(cut -d ' ' -f 1 /tmp/first)

result done
# Without ACPI a PC has no way to power itself off that Linux knows; then the keyboard controller resets it.
if grep -q acpi=off /proc/cmdline; then reboot -f; else poweroff -f; fi
