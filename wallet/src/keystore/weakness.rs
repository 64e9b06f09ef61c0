//! Keys that can be factored although their public half looks like any other.

/// The chips' primes are of the form k·M + (65537^a mod M), where M is the product of the primes up to this one for keys of
/// 2048 bits, and of more primes for longer keys (Nemec and others, "The Return of Coppersmith's Attack", 2017).
const LARGEST_PRIME: u32 = 701;

/// Whether a modulus (big-endian) was made by the chips of CVE-2017-15361 (ROCA), which stand in many tokens. It is a power of
/// 65537 modulo each of those primes, which one in 2^167 others is too.
pub(super) fn is_roca(modulus: &[u8]) -> bool {
    primes().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (1..prime).any(|_| {
            power = power * (65_537 % prime) % prime;
            power == rest
        })
    })
}

fn primes() -> impl Iterator<Item = u32> {
    let is_prime = |number: &u32| (3..*number).step_by(2).all(|divisor| !number.is_multiple_of(divisor));
    (3..=LARGEST_PRIME).step_by(2).filter(is_prime)
}

#[cfg(test)]
mod tests {
    use rand_core::{OsRng, RngCore as _};
    use rsa::BigUint;

    use super::*;
    use crate::keystore::{SecretKeyError, public};

    /// A number of 1024 bits of the chips' form.
    fn number() -> BigUint {
        let product = primes().fold(BigUint::from(2_u32), |product, prime| product * prime);
        let residue = BigUint::from(65_537_u32).modpow(&OsRng.next_u64().into(), &product);
        (BigUint::from(7_u32) << 1021_usize) / &product * product + residue
    }

    #[test]
    fn a_key_of_the_chips_is_refused_by_name() {
        assert_eq!(primes().count(), 125);
        let modulus = (number() * number()).to_bytes_be();
        assert_eq!(public::from_numbers(&modulus, &[1, 0, 1]), Err(SecretKeyError::Roca));
        let next = (BigUint::from_bytes_be(&modulus) + 2_u32).to_bytes_be();
        public::from_numbers(&next, &[1, 0, 1]).unwrap();
    }
}
