// Old syntax on purpose: this file is what an old Node gets to read.
var wanted = 22
var major = Number(process.versions.node.split('.')[0])
if (major < wanted) {
  console.error(
    'This runs on Node ' +
      wanted +
      ' or newer, and found ' +
      process.version +
      ': run "npm ci", which installs one for the scripts.',
  )
  process.exit(1)
}
