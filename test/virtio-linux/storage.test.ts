import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BUSYBOX } from '../linux/initramfs.ts'
import { checkExt4, hasExt4Tools, makeExt4, readExt4, sha256 } from './ext4-image.ts'
import { BOOT_LIMIT, type ScenarioRun, SKIP_REASON, virtioLinux } from './guest.ts'

const linux = hasExt4Tools() ? virtioLinux() : undefined
const MEBIBYTES = 24
/** Every sector differs, so that one in a wrong place is seen. */
const FROM_HOST = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 9) * 13) & 0xff)

const NUMBERS = Buffer.from(Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join(''))
const MANY = Array.from({ length: 40 }, (_, i) => i + 1)

/** Mounts ext4, reads what the host wrote, writes, and reads that again after everything was forgotten. */
function script(device: string): string {
  return `
mkdir /mnt
mount -t ext4 ${device} /mnt || result mount failed
result host $(sha256sum < /mnt/from-host)
seq 1 100000 > /mnt/numbers
cp /bin/busybox /mnt/program
mkdir /mnt/many
for i in $(seq 1 40); do echo file $i > /mnt/many/$i; done
rm /mnt/many/13 /mnt/from-host
sync
umount /mnt
echo 3 > /proc/sys/vm/drop_caches
mount -t ext4 ${device} /mnt || result second mount failed
result numbers $(sha256sum < /mnt/numbers)
result program $(sha256sum < /mnt/program)
result many $(cat /mnt/many/* | wc -l) $(cat /mnt/many/40)
fstrim /mnt && result trimmed
umount /mnt
result errors $(dmesg | grep -c -i -E 'I/O error|EXT4-fs error|exception Emask')`
}

function expectedResults(program: string, trimmed: boolean): string[] {
  return [
    `host ${sha256(FROM_HOST)} -`,
    `numbers ${sha256(NUMBERS)} -`,
    `program ${program} -`,
    'many 39 file 40',
    ...(trimmed ? ['trimmed'] : []),
    'errors 0',
    'end',
  ]
}

if (linux === undefined) {
  test.skip(`${SKIP_REASON}, and e2fsprogs`)
} else {
  describe('ext4 under Debian', () => {
    const program = sha256(readFileSync(BUSYBOX))
    const modules = ['crc32c_generic', 'ext4']
    let scratch: string
    let image: string

    beforeEach(() => {
      scratch = mkdtempSync(join(tmpdir(), 'ringside-storage-'))
      image = makeExt4(scratch, MEBIBYTES, { 'from-host': FROM_HOST })
    })
    afterEach(() => rmSync(scratch, { recursive: true }))

    /** The host's view agrees with what the guest was told. */
    function expectWritten(file: string): void {
      expect(checkExt4(file)).toBe('')
      expect(statSync(file).size).toBe(MEBIBYTES * 2 ** 20)
      expect(sha256(readExt4(file, '/numbers'))).toBe(sha256(NUMBERS))
      expect(sha256(readExt4(file, '/program'))).toBe(program)
      for (const i of MANY) expect(readExt4(file, `/many/${i}`).toString()).toBe(i === 13 ? '' : `file ${i}\n`)
      expect(readExt4(file, '/from-host').length).toBe(0)
    }

    function expectSuccess(run: ScenarioRun, trimmed: boolean): void {
      expect([run.results, run.stderr, run.status]).toEqual([expectedResults(program, trimmed), '', 0])
    }

    const cases = [
      { name: 'modern PCI, packed rings', options: 'transport=pci,packed=on', drivers: ['virtio_pci'] },
      { name: 'legacy PCI', options: 'transport=pci-legacy', drivers: ['virtio_pci'] },
      { name: 'MMIO, split rings', options: 'transport=mmio', drivers: ['virtio_mmio'] },
      { name: 'MMIO, packed rings', options: 'transport=mmio,packed=on', drivers: ['virtio_mmio'] },
      { name: 'a worker', options: 'backend=worker', drivers: ['virtio_pci'] },
    ]

    test.each(cases)(
      'is mounted, written and read again, and the host finds the same: $name',
      async ({ options, drivers }) => {
        const run = await linux.run({
          modules: [...drivers, 'virtio_blk', ...modules],
          script: script('/dev/vda'),
          options: ['--disk', `${image},${options}`],
        })
        expectSuccess(run, true)
        expectWritten(image)
      },
      BOOT_LIMIT,
    )

    test(
      'does the same twice, to the instruction and to the last byte of the disk: modern PCI, split rings',
      async () => {
        const second = join(scratch, 'second.img')
        copyFileSync(image, second)
        const run = (file: string) =>
          linux.run({
            modules: ['virtio_pci', 'virtio_blk', ...modules],
            script: script('/dev/vda'),
            options: ['--disk', `${file},queues=4`, '--cpus', '2'],
          })
        const first = await run(image)
        expectSuccess(first, true)
        expectWritten(image)
        const again = await run(second)
        expect([again.instructions, again.stdout]).toEqual([first.instructions, first.stdout])
        expect(Buffer.compare(readFileSync(second), readFileSync(image))).toBe(0)
      },
      2 * BOOT_LIMIT,
    )

    test(
      'by IDE, with another disk that is read-only beside it',
      async () => {
        const other = join(scratch, 'read-only.img')
        copyFileSync(image, other)
        const before = readFileSync(other)
        const run = await linux.run({
          modules: ['ata_piix', 'sd_mod', 'virtio_pci', 'virtio_blk', ...modules],
          script: `${script('/dev/sda')}
mkdir /other
mount -t ext4 -o ro /dev/vda /other || result mount failed
result other $(sha256sum < /other/from-host) $(cat /sys/block/vda/ro)
dd if=/dev/zero of=/dev/vda count=1 2> /dev/null || result refused`,
          options: ['--disk', `${image},interface=ide`, '--disk', `${other},readonly`],
        })
        const results = expectedResults(program, false)
        const more = [`other ${sha256(FROM_HOST)} - 1`, 'refused', 'end']
        expect([run.results, run.stderr, run.status]).toEqual([[...results.slice(0, -1), ...more], '', 0])
        expectWritten(image)
        expect(Buffer.compare(readFileSync(other), before)).toBe(0)
      },
      BOOT_LIMIT,
    )
  })
}
