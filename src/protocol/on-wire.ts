/** Models with bigint inside, as JSON: a bigint becomes a string of hexadecimal digits with `0x`. */

export type OnWire<T> = T extends bigint
  ? string
  : T extends readonly (infer U)[]
    ? OnWire<U>[]
    : T extends object
      ? { [K in keyof T]: OnWire<T[K]> }
      : T

export function onWire<T>(model: T): OnWire<T> {
  return JSON.parse(
    JSON.stringify(model, (_key, value: unknown) => (typeof value === 'bigint' ? digits(value) : value)),
  )
}

const digits = (value: bigint): string => (value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`)
