/** Where the parts of a ring lie in its picture: slots clockwise from the top, in units of the SVG. */

import type { Counts, State } from './slot-words.ts'

export interface Band {
  readonly inner: number
  readonly outer: number
}

/** Of the rings from the outside inwards. */
export const BANDS: readonly Band[] = [
  { inner: 76, outer: 104 },
  { inner: 44, outer: 66 },
]
const GAP = 0.35
/** A full circle begins where it ends, which no arc of SVG can say. */
const FULL = 359.99

/** Part of a segment that has one state. */
export interface Piece {
  readonly state: State
  readonly path: string
}

/** As they follow each other round a ring: what was returned, what the device has, what waits. */
const ORDER: readonly State[] = ['used', 'taken', 'available', 'free']

/** @param index of the segment, of `count` that are equally long; a gap separates those of a short ring. */
export function piecesOf(states: Counts, index: number, count: number, band: Band): Piece[] {
  const whole = 360 / count
  const gap = count === 1 ? 0 : Math.min(GAP * 4, whole * 0.08)
  const start = index * whole + gap / 2
  const length = Math.min(whole - gap, FULL)
  const slots = ORDER.reduce((sum, state) => sum + states[state], 0)
  let at = start
  return ORDER.flatMap(state => {
    if (states[state] === 0) return []
    const from = at
    at += (length * states[state]) / slots
    return [{ state, path: arcPath(band, from, at) }]
  })
}

/** A piece of a band between two angles, in degrees from the top. */
export function arcPath({ inner, outer }: Band, from: number, to: number): string {
  const large = to - from > 180 ? 1 : 0
  const point = (radius: number, angle: number): string => at(radius, angle).map(rounded).join(' ')
  return [
    `M${point(outer, from)}`,
    `A${outer} ${outer} 0 ${large} 1 ${point(outer, to)}`,
    `L${point(inner, to)}`,
    `A${inner} ${inner} 0 ${large} 0 ${point(inner, from)}Z`,
  ].join('')
}

/** @param angle degrees from the top, clockwise */
export function at(radius: number, angle: number): [x: number, y: number] {
  const radians = (angle * Math.PI) / 180
  return [radius * Math.sin(radians), -radius * Math.cos(radians)]
}

export const middleOf = (index: number, count: number): number => ((index + 0.5) * 360) / count

const rounded = (value: number): number => Math.round(value * 100) / 100

export interface HandPlace {
  readonly x: number
  readonly y: number
  /** Where it touches its ring. */
  readonly tip: readonly [x: number, y: number]
  /** How many others stand between it and its ring. */
  readonly level: number
}

export const HAND_RADIUS = 6.5
/** Squares that stand above each other at any angle do not touch. */
const HAND_STEP = 19
const NEAR = 11
const MARGIN = 2

/**
 * Outside the outer ring, inside the inner one; hands that point to neighbouring slots stand above each other.
 * @param angles in degrees from the top
 */
export function handPlaces(angles: readonly number[], circle: number): HandPlace[] {
  const { inner, outer } = BANDS[circle]
  const [edge, away] = circle === 0 ? [outer, 1] : [inner, -1]
  const places: (HandPlace & { readonly angle: number })[] = []
  for (const angle of angles) {
    const taken = new Set(places.filter(place => distance(place.angle, angle) < NEAR).map(({ level }) => level))
    let level = 0
    while (taken.has(level)) level++
    const [x, y] = at(edge + away * (HAND_RADIUS + 4 + level * HAND_STEP), angle)
    places.push({ angle, level, x, y, tip: at(edge - away, angle) })
  }
  return places
}

/** Half the side of the square that has all of the picture. */
export function extentOf(hands: readonly HandPlace[]): number {
  return Math.max(BANDS[0].outer, ...hands.map(({ x, y }) => Math.hypot(x, y))) + 1.5 * HAND_RADIUS + MARGIN
}

function distance(a: number, b: number): number {
  const difference = Math.abs(a - b) % 360
  return Math.min(difference, 360 - difference)
}
