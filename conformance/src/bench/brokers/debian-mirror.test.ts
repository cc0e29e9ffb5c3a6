import { describe, expect, it } from 'vitest'
import { mirrorFrom } from './debian-mirror.ts'

describe('mirrorFrom', () => {
  it('takes the archive, not its security updates or a third party', () => {
    const lines = [
      'https://third.example/node/|. nodistro|main',
      'http://mirror.example/debian-security/|Debian-Security|main',
      'http://mirror.example/debian/|Debian|contrib',
      'http://mirror.example/debian/|Debian|main',
    ]
    expect(mirrorFrom(lines.join('\n'))).toBe('http://mirror.example/debian/')
  })

  it('finds none on another distribution', () => {
    expect(mirrorFrom('http://mirror.example/ubuntu/|Ubuntu|main\n')).toBeUndefined()
  })
})
