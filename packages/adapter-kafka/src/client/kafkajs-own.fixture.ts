import { createRequire } from 'node:module'
import { sep } from 'node:path'

const load = createRequire(import.meta.url)

/** A module of kafkajs as it came, also where this process has put ours in the place of some. */
export function kafkajsOwn<Module>(path: string): Module {
  const replaced = takeFromCache()
  try {
    return load(path)
  } finally {
    takeFromCache()
    Object.assign(load.cache, replaced)
  }
}

function takeFromCache(): NodeJS.Dict<NodeJS.Module> {
  const taken: NodeJS.Dict<NodeJS.Module> = {}
  for (const file of Object.keys(load.cache).filter((each) => each.includes(`${sep}kafkajs${sep}`))) {
    taken[file] = load.cache[file]
    delete load.cache[file]
  }
  return taken
}
