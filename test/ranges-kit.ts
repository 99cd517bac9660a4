import { cutIntoRanges, readRanges } from '../src/adapters/id-ranges.ts'
import type { FoundRange } from '../src/adapters/id-ranges-read.ts'
import { connectToPrimary } from '../src/adapters/primary.ts'
import type { TestWorld } from './harness.ts'

export const SIZE = 10n

/** Cut the tables of a world, whose payments so far are the first range, and make two more. */
export async function cut(world: TestWorld, ahead = 2): Promise<readonly FoundRange[]> {
  const client = await connectToPrimary({}, world.url)
  try {
    const [row] = await world.sql<{ id: bigint | null }>('select max(id) as id from payments')
    await cutIntoRanges(client, { given: row?.id ?? 0n, size: SIZE, ahead })
    return (await readRanges(client)) ?? []
  } finally {
    await client.end()
  }
}
