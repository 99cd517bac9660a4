/** What a database has stored of its place among several servers; null: nothing. */
export interface StoredPlace {
  /** Which servers belong together: the same in all of them. */
  readonly cluster: string | null
  /** The shards that it holds. */
  readonly range: string | null
  /** Of the home side: the shards of all servers. */
  readonly map: string | null
  /** How often servers were given their ranges, from 1 on. */
  readonly version: string | null
}

/** The map of a database whose shards are where Citus says. */
export const OF_CITUS = 'citus'

interface Range {
  readonly first: number
  readonly last: number
}

const DISTRIBUTE = 'run `payments distribute`'

/** A range as settings spell it: `32-63`, or the number of a single shard. */
export function rangeText({ first, last }: Range): string {
  return first === last ? `${first}` : `${first}-${last}`
}

/** Numbers in their order, those that follow each other as ranges. */
export function rangesText(numbers: readonly number[]): string {
  const ranges: { first: number; last: number }[] = []
  for (const number of numbers) {
    const range = ranges.at(-1)
    if (range?.last === number - 1) range.last = number
    else ranges.push({ first: number, last: number })
  }
  return mapText(ranges)
}

/** The ranges of all servers, in order. */
export function mapText(ranges: readonly Range[]): string {
  return ranges.map(rangeText).join(',')
}

/**
 * What is wrong with a map of servers, given what the home side and each server of the map have
 * stored: sentences that name the setting and the remedy. Empty: it is theirs.
 */
export function mapProblems(
  ranges: readonly Range[],
  home: StoredPlace,
  places: readonly StoredPlace[],
): string[] {
  if (home.map === OF_CITUS) {
    return ['SHARD_DATABASES must not be set: the database of DATABASE_URL is that of CITUS=true']
  }
  if (home.cluster === null || home.map === null) {
    return [
      'SHARD_DATABASES is set, and the database of DATABASE_URL is not the home side of several ' +
        `servers: ${DISTRIBUTE} first, or correct DATABASE_URL`,
    ]
  }
  const given = mapText(ranges)
  if (home.map !== given) {
    return [
      `SHARD_DATABASES has the ranges ${given}, and the servers were set up with ${home.map}: ` +
        `correct SHARD_DATABASES, or ${DISTRIBUTE} once the rows are where it says`,
    ]
  }
  return ranges.flatMap((range, index) => {
    const place = places[index]
    const problem = place === undefined ? null : placeProblem(range, home, place)
    return problem === null ? [] : [problem]
  })
}

function placeProblem(range: Range, home: StoredPlace, place: StoredPlace): string | null {
  const named = `the database that SHARD_DATABASES has for ${rangeText(range)}`
  if (place.cluster === null || place.range === null) {
    return `${named} belongs to no servers yet: ${DISTRIBUTE}, or correct SHARD_DATABASES`
  }
  if (place.cluster !== home.cluster) {
    return `${named} belongs to other servers than DATABASE_URL: correct SHARD_DATABASES`
  }
  if (place.range !== rangeText(range)) {
    return `${named} holds the shards ${place.range}: correct SHARD_DATABASES`
  }
  if (place.version === home.version) return null
  return (
    `${named} has version ${place.version} of the map and the home side ${home.version}: ` +
    `${DISTRIBUTE} to its end`
  )
}
