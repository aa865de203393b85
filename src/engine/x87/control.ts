/** Control instructions: words, initialization, the stack pointer, environments and state images. */

import { CR0_EM, CR0_MP, CR0_TS } from '../../x86/control-registers.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'
import { deviceNotAvailable, invalidOpcode, x87FloatingPoint } from '../fault.ts'
import { FLAGS_ALL } from '../float/environment.ts'
import * as S from '../state.ts'
import { decodeEnvironment, type EnvironmentFormat, encodeEnvironment, environmentFormat } from './environment.ts'
import { registerForm } from './forms.ts'
import {
  CONTROL_DEFAULT,
  Fpu,
  readPhysical,
  requireDevice,
  STATUS_BUSY,
  STATUS_ERROR_SUMMARY,
  STATUS_STACK_FAULT,
  wait,
  writePhysical,
} from './fpu.ts'

/** The state after FNINIT; data registers stay. SDM vol. 2, FINIT. */
export function initializeFpu(state: CpuState): void {
  state.set32(S.X87_CONTROL, CONTROL_DEFAULT)
  state.set32(S.X87_STATUS, 0)
  state.set32(S.X87_TOP, 0)
  state.set32(S.X87_TAGS, 0)
  state.set32(S.X87_OPCODE, 0)
  state.set32(S.X87_CS, 0)
  state.set32(S.X87_DS, 0)
  state.set64(S.X87_IP, 0n)
  state.set64(S.X87_DP, 0n)
}

/** The state after power-up and RESET, which software ends with FNINIT: all registers +0. SDM vol. 3, table 10-1. */
export function resetFpu(state: CpuState): void {
  clearFpu(state)
  state.set32(S.X87_CONTROL, 0x40)
  state.set32(S.X87_TAGS, 0xff)
}

/** The initial configuration of the XSAVE feature set. SDM vol. 1, 13.6. */
export function clearFpu(state: CpuState): void {
  initializeFpu(state)
  for (let i = 0; i < 8; i++) writePhysical(state, i, { low: 0n, high: 0 })
}

/** Is the state what {@link clearFpu} leaves? */
export function isInitialFpu(state: CpuState): boolean {
  const words = [S.X87_STATUS, S.X87_TOP, S.X87_TAGS, S.X87_OPCODE, S.X87_CS, S.X87_DS]
  if (state.get32(S.X87_CONTROL) !== CONTROL_DEFAULT || words.some(at => state.get32(at) !== 0)) return false
  if (state.get64(S.X87_IP) !== 0n || state.get64(S.X87_DP) !== 0n) return false
  for (let i = 0; i < 8; i++) {
    const { low, high } = readPhysical(state, i)
    if (low !== 0n || high !== 0) return false
  }
  return true
}

/** A control instruction that does not wait for pending exceptions. */
function noWait(body: (fpu: Fpu, cpu: AssistCpu) => void): Assist {
  return (cpu, instruction) => {
    requireDevice(cpu)
    body(new Fpu(cpu, instruction), cpu)
  }
}

/** A control instruction that waits, and leaves the instruction pointer alone. */
function waiting(body: (fpu: Fpu, cpu: AssistCpu) => void): Assist {
  return (cpu, instruction) => {
    wait(cpu)
    body(new Fpu(cpu, instruction), cpu)
  }
}

/** The form with a WAIT in front, where a decoder makes one instruction of both. */
function withWait(assist: Assist): Assist {
  return (cpu, instruction) => {
    wait(cpu)
    assist(cpu, instruction)
  }
}

const storeControlWord = noWait((fpu, cpu) => cpu.memory.write16(fpu.instruction.address, fpu.control))
const storeStatusWord = noWait((fpu, cpu) => cpu.memory.write16(fpu.instruction.address, fpu.statusWord))
const statusWordToAx = noWait((fpu, cpu) => cpu.state.setGpr16(0, fpu.statusWord))
const initialize = noWait((_fpu, cpu) => initializeFpu(cpu.state))

const clearExceptions = noWait(fpu => {
  fpu.status &= ~(FLAGS_ALL | STATUS_STACK_FAULT | STATUS_ERROR_SUMMARY | STATUS_BUSY)
})

/** What was an instruction of the 8087 or 80287 and does nothing since. */
const ignored = noWait(() => {})

const loadControlWord = waiting((fpu, cpu) => {
  fpu.control = cpu.memory.read16(fpu.instruction.address)
})

function moveTop(by: number): Assist {
  return registerForm(fpu => {
    fpu.top += by
    fpu.clearC1()
  })
}

const storeEnvironment = (width: 16 | 32): Assist =>
  noWait((fpu, cpu) => {
    cpu.memory.writeBytes(
      fpu.instruction.address,
      encodeEnvironment(fpu, environmentFormat(cpu.state, width)),
      false,
      width / 8,
    )
    // SDM vol. 2, FSTENV: all exceptions are masked afterwards.
    fpu.control |= FLAGS_ALL
  })

const environmentSize = (width: 16 | 32): number => (width === 16 ? 14 : 28)

const loadEnvironment = (width: 16 | 32): Assist =>
  waiting((fpu, cpu) => {
    const bytes = cpu.memory.readBytes(fpu.instruction.address, environmentSize(width), false, width / 8)
    decodeEnvironment(fpu, bytes, environmentFormat(cpu.state, width))
  })

/** FNSAVE: the environment, then ST(0) to ST(7) of 10 bytes each; then as FNINIT. */
function saveState(fpu: Fpu, cpu: AssistCpu, format: EnvironmentFormat): void {
  const environment = encodeEnvironment(fpu, format)
  const bytes = new Uint8Array(environment.length + 80)
  bytes.set(environment)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < 8; i++) {
    const { low, high } = fpu.raw(i)
    view.setBigUint64(environment.length + i * 10, low, true)
    view.setUint16(environment.length + i * 10 + 8, high, true)
  }
  cpu.memory.writeBytes(fpu.instruction.address, bytes, false, format.width / 8)
  initializeFpu(cpu.state)
}

const save = (width: 16 | 32): Assist => noWait((fpu, cpu) => saveState(fpu, cpu, environmentFormat(cpu.state, width)))

const restore = (width: 16 | 32): Assist =>
  waiting((fpu, cpu) => {
    const size = environmentSize(width)
    const bytes = cpu.memory.readBytes(fpu.instruction.address, size + 80, false, width / 8)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    // Registers first: the tags that the environment gives them are all that is kept, and TOP comes from there.
    const top = (view.getUint16(width === 16 ? 2 : 4, true) >> 11) & 7
    for (let i = 0; i < 8; i++)
      writePhysical(cpu.state, (top + i) & 7, {
        low: view.getBigUint64(size + i * 10, true),
        high: view.getUint16(size + i * 10 + 8, true),
      })
    decodeEnvironment(fpu, bytes.subarray(0, size), environmentFormat(cpu.state, width))
  })

/** FWAIT: #NM only with both CR0.MP and CR0.TS. SDM vol. 3, table 2-1. */
const fwait: Assist = cpu => {
  const cr0 = cpu.state.get32(S.CR0)
  if ((cr0 & (CR0_MP | CR0_TS)) === (CR0_MP | CR0_TS)) throw deviceNotAvailable()
  if (cpu.state.get32(S.X87_STATUS) & STATUS_ERROR_SUMMARY) throw x87FloatingPoint()
}

/** What every MMX instruction checks first: #UD, #NM, #MF. SDM vol. 3, 12.1 and 12.5. */
export function checkMmx(cpu: AssistCpu): void {
  const cr0 = cpu.state.get32(S.CR0)
  if (cr0 & CR0_EM) throw invalidOpcode()
  if (cr0 & CR0_TS) throw deviceNotAvailable()
  if (cpu.state.get32(S.X87_STATUS) & STATUS_ERROR_SUMMARY) throw x87FloatingPoint()
}

/** What every MMX instruction but EMMS does to the FPU: TOP is 0, all registers are valid. SDM vol. 3, 12.2. */
export function enterMmx(state: CpuState): void {
  state.set32(S.X87_TOP, 0)
  state.set32(S.X87_TAGS, 0xff)
}

/** Register MM(index); it is the significand of R(index). */
export function readMmx(state: CpuState, index: number): bigint {
  return readPhysical(state, index).low
}

/** Writes MM(index), which sets sign and exponent of R(index) to ones. SDM vol. 3, 12.2. */
export function writeMmx(state: CpuState, index: number, value: bigint): void {
  writePhysical(state, index, { low: value, high: 0xffff })
}

/** Empties all registers, and sets TOP to 0 as the other MMX instructions do. SDM vol. 3, table 12-1. */
const emms: Assist = cpu => {
  checkMmx(cpu)
  cpu.state.set32(S.X87_TOP, 0)
  cpu.state.set32(S.X87_TAGS, 0)
}

export const controlAssists: Readonly<Record<string, Assist>> = {
  Wait: fwait,
  Fnop: registerForm(() => {}),
  Fincstp: moveTop(1),
  Fdecstp: moveTop(-1),
  Fldcw_m2byte: loadControlWord,
  Fnstcw_m2byte: storeControlWord,
  Fstcw_m2byte: withWait(storeControlWord),
  Fnstsw_m2byte: storeStatusWord,
  Fstsw_m2byte: withWait(storeStatusWord),
  Fnstsw_AX: statusWordToAx,
  Fstsw_AX: withWait(statusWordToAx),
  Fnclex: clearExceptions,
  Fclex: withWait(clearExceptions),
  Fninit: initialize,
  Finit: withWait(initialize),
  Fneni: ignored,
  Feni: withWait(ignored),
  Fndisi: ignored,
  Fdisi: withWait(ignored),
  Fnsetpm: ignored,
  Fsetpm: withWait(ignored),
  Fldenv_m14byte: loadEnvironment(16),
  Fldenv_m28byte: loadEnvironment(32),
  Fnstenv_m14byte: storeEnvironment(16),
  Fnstenv_m28byte: storeEnvironment(32),
  Fstenv_m14byte: withWait(storeEnvironment(16)),
  Fstenv_m28byte: withWait(storeEnvironment(32)),
  Fnsave_m94byte: save(16),
  Fnsave_m108byte: save(32),
  Fsave_m94byte: withWait(save(16)),
  Fsave_m108byte: withWait(save(32)),
  Frstor_m94byte: restore(16),
  Frstor_m108byte: restore(32),
  Emms: emms,
}
