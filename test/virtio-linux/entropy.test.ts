import { describe, expect, test } from 'vitest'
import { BOOT_LIMIT, SKIP_REASON, virtioLinux } from './guest.ts'

const linux = virtioLinux()

const SCRIPT = `
result driver $(cat /sys/class/misc/hw_random/rng_current)
result device $(ls /sys/bus/virtio/drivers/virtio_rng | grep virtio)
result status $(cat /sys/bus/virtio/devices/virtio0/status)
result features $(cat /sys/bus/virtio/devices/virtio0/features)
result bytes $(head -c 16 /dev/hwrng | od -A n -t x1)
result interrupts $(grep virtio /proc/interrupts | awk '{ sum += $2 } END { print (sum > 0) ? "some" : "none" }')
`

/** Bits that the driver accepted, lowest first, as the kernel shows them. */
function acceptedBits(results: readonly string[]): number[] {
  const bits = results.find(line => line.startsWith('features '))?.slice('features '.length) ?? ''
  return [...bits].flatMap((bit, index) => (bit === '1' ? [index] : []))
}

function bytesOf(results: readonly string[]): string {
  return (results.find(line => line.startsWith('bytes ')) ?? '').slice('bytes '.length)
}

if (linux === undefined) {
  test.skip(SKIP_REASON)
} else {
  describe('the entropy device under Debian', () => {
    const [INDIRECT, EVENT_IDX, VERSION_1, PACKED] = [28, 29, 32, 34]
    const cases = [
      { name: 'modern PCI, split', option: 'transport=pci', module: 'virtio_pci', bits: [VERSION_1] },
      {
        name: 'modern PCI, packed',
        option: 'transport=pci,packed=on',
        module: 'virtio_pci',
        bits: [VERSION_1, PACKED],
      },
      { name: 'legacy PCI', option: 'transport=pci-legacy', module: 'virtio_pci', bits: [] },
      { name: 'transitional PCI', option: 'transport=pci-transitional', module: 'virtio_pci', bits: [VERSION_1] },
      { name: 'MMIO, split', option: 'transport=mmio', module: 'virtio_mmio', bits: [VERSION_1] },
      { name: 'MMIO, packed', option: 'transport=mmio,packed=on', module: 'virtio_mmio', bits: [VERSION_1, PACKED] },
    ]
    test.each(cases)(
      'gives /dev/hwrng its bytes: $name',
      async ({ option, module, bits }) => {
        const run = await linux.run({ modules: [module, 'virtio_rng'], script: SCRIPT, options: [`--rng=${option}`] })
        expect(run.results).toContain('driver virtio_rng.0')
        expect(run.results).toContain('device virtio0')
        expect(acceptedBits(run.results)).toEqual([INDIRECT, EVENT_IDX, ...bits])
        expect(bytesOf(run.results)).toMatch(/^([0-9a-f]{2} ?){16}$/)
        expect(run.results).toContain('interrupts some')
        expect(run.results.at(-1)).toBe('end')
        expect(run.status).toBe(0)
      },
      BOOT_LIMIT,
    )

    test.each(['pci', 'pci-legacy'])(
      'interrupts by its pin and the 8259 pair where there is no ACPI and no APIC: %s',
      async transport => {
        const run = await linux.run({
          modules: ['virtio_pci', 'virtio_rng'],
          script: SCRIPT,
          options: [`--rng=transport=${transport}`],
          cmdline: 'acpi=off noapic nolapic',
        })
        expect(bytesOf(run.results)).toMatch(/^([0-9a-f]{2} ?){16}$/)
        expect(run.results).toContain('interrupts some')
        expect(run.status).toBe(0)
      },
      BOOT_LIMIT,
    )
    test(
      'gives the same bytes at the same instructions in every run',
      async () => {
        const scenario = { modules: ['virtio_pci', 'virtio_rng'], script: SCRIPT, options: ['--rng'] }
        const first = await linux.run(scenario)
        const second = await linux.run(scenario)
        expect(second.stdout).toBe(first.stdout)
        expect(second.instructions).toBe(first.instructions)
      },
      2 * BOOT_LIMIT,
    )
  })
}
