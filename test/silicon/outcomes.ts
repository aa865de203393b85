/** The outcomes of all scenarios as lines, from either processor. */

import type { Host } from '../engine/guest/guest.ts'
import { EngineProcessor } from './engine.ts'
import { runOnHost } from './host-processor.ts'
import { buildImage, hashMemory, type Image } from './image.ts'
import { describeOutcome, type Outcome } from './outcome.ts'
import { SCENARIOS } from './scenarios.ts'

const lines = (image: Image, outcomes: readonly Outcome[]): string[] => {
  const untouched = hashMemory(({ bytes, fill }) => new Uint8Array(bytes).fill(fill))
  return SCENARIOS.map((scenario, index) => describeOutcome(scenario, image.starts[index], outcomes[index], untouched))
}

export function outcomesInEngine(host: Host): string[] {
  const image = buildImage(SCENARIOS)
  const engine = new EngineProcessor(host)
  try {
    return lines(image, engine.run(SCENARIOS, image))
  } finally {
    engine.release()
  }
}

/** Throws where the host can't run scenarios; `whyNot` tells. */
export function outcomesOnHost(): string[] {
  const image = buildImage(SCENARIOS)
  return lines(image, runOnHost(SCENARIOS, image))
}
