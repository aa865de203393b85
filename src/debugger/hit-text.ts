/** What a stop was about, in words. */

import { describeVector } from '../x86/exceptions.ts'
import type { StopHit, VirtioStep } from './stop-request.ts'

/** What has changed, by the name that it was given: `PT[3] at phys:0x1018 changed from 0x0 to 0x2067, by 0x100a50 <map>`. */
export function changeText(
  name: string,
  hit: Extract<StopHit, { readonly kind: 'data' | 'host-change' }>,
  describe: (address: bigint) => string | undefined,
  whole: { readonly before: Uint8Array; readonly after: Uint8Array } = hit,
): string {
  const by = hit.kind === 'data' ? placeText(hit.rip, describe) : `the hypervisor, exit: ${hit.reason}`
  return `${name} changed from ${bytesText(whole.before)} to ${bytesText(whole.after)}, by ${by}`
}

/** undefined where the place says it all. */
export function hitText(hit: StopHit, describe: (address: bigint) => string | undefined): string | undefined {
  const place = (address: bigint): string => placeText(address, describe)
  switch (hit.kind) {
    case 'code':
      return undefined
    case 'data': {
      const change = hit.write ? `: ${bytesText(hit.before)} -> ${bytesText(hit.after)}` : `: ${bytesText(hit.after)}`
      return `${hit.write ? 'write' : 'read'} of ${hit.size} bytes at ${place(hit.linear)}${change}, by ${place(hit.rip)}`
    }
    case 'host-change':
      return `${bytesText(hit.before)} -> ${bytesText(hit.after)} at hpa:${hex(hit.address)}, by the hypervisor, exit: ${hit.reason}`
    case 'exception': {
      const code = hit.errorCode === undefined ? '' : `, error code ${hex(BigInt(hit.errorCode))}`
      const address = hit.address === undefined ? '' : `, address ${place(hit.address)}`
      const during = hit.during === undefined ? '' : `, while ${describeVector(hit.during)} was delivered`
      return `${describeVector(hit.vector)}${code}${address}${during}`
    }
    case 'interrupt':
      return hit.nmi ? 'NMI' : `interrupt, vector ${hit.vector}`
    case 'control-register':
      return `CR${hit.register}: ${hex(hit.old)} -> ${hex(hit.value)}, by ${place(hit.rip)}`
    case 'msr':
      return `MSR ${hex(BigInt(hit.msr))}: ${hit.old === undefined ? '' : `${hex(hit.old)} -> `}${hex(hit.value)}`
    case 'port':
      return `${hit.write ? 'out' : 'in'} of ${hex(BigInt(hit.value))}, ${hit.size} bytes, port ${hex(BigInt(hit.port))}`
    case 'exit':
      return `exit: ${hit.reason}`
    case 'guest-event':
      return `${eventText(hit)}, by ${place(hit.rip)}`
    case 'virtio':
      return virtioText(hit)
    case 'transition':
      return `CPL ${hit.from} -> ${hit.to} by ${hit.cause}`
    case 'int3':
      return "INT3 of the guest's own"
    case 'magic':
      return 'XCHG BX, BX'
  }
}

function placeText(address: bigint, describe: (address: bigint) => string | undefined): string {
  const symbol = describe(address)
  return symbol === undefined ? hex(address) : `${hex(address)} <${symbol}>`
}

const VIRTIO_VERBS: Readonly<Record<VirtioStep, string>> = {
  ...{ kick: 'kick', taken: 'chain taken', used: 'chain used', interrupt: 'interrupt', reset: 'reset' },
  ...{ ready: 'set up by the driver', broken: 'broken, the device needs a reset' },
}

/** `virtio-blk0, queue 0: chain used: chain 0: read, sector 2, 512 bytes`. */
function virtioText({ step, device, queue, chain, reason, descriptor }: Extract<StopHit, { kind: 'virtio' }>): string {
  const place = queue === undefined ? device : `${device}, queue ${queue}`
  const what = chain === undefined ? '' : ` ${chain.id}: ${chain.summary}`
  const names = descriptor === undefined || reason?.includes(`descriptor ${descriptor}`)
  const why = reason === undefined ? '' : `: ${names ? '' : `descriptor ${descriptor}: `}${reason}`
  return `${place}: ${VIRTIO_VERBS[step]}${what}${why}`
}

/** An event of the guest's own, as a call: `disk ready(0x1000, 2)`. */
export const eventText = ({ name, values }: { readonly name: string; readonly values: readonly bigint[] }): string =>
  `${name}(${values.map(value => (value < 10n ? String(value) : hex(value))).join(', ')})`

const hex = (value: bigint): string => `0x${value.toString(16)}`

/** As a number where it has the size of one. */
function bytesText(bytes: Uint8Array): string {
  if (bytes.length === 0) return '?'
  if (bytes.length > 8) return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(' ')
  return hex(bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n))
}
