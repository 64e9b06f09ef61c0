//! Who is who: the person's own key, and whom they mean to pay.

use farthing::{Address, Mites, keys::KeySize};

use super::{Answer, PATIENCE, Session, ends_the_session, is_word, memory, words};
use crate::{
    commands::{contact, key, send},
    context::AskError,
    error::{Error, Result},
    keystore::{FileSigner, KeyEntry, dev},
    name::Name,
    payment_uri::{self, PaymentUri},
    transfer::Wish,
};

/// What a new account on the development network is given.
const DEV_GIFT: Mites = Mites::new(1_000 * farthing::amount::MITES_PER_FAR);

impl Session<'_> {
    /// Asks for a name of this wallet, or makes one; none if the person leaves.
    pub(super) fn who_are_you(&mut self) -> Result<Option<KeyEntry>> {
        loop {
            let mut names = words::keys(self.context)?;
            if self.context.wallet.network().is_dev() {
                names.extend(dev::names().map(str::to_owned).filter(|name| !names.contains(name)).collect::<Vec<_>>());
            }
            let Answer::Text(text) = self.question(&|_| "Your name: ".to_owned(), &words::completed(names), None)?
            else {
                return Ok(None);
            };
            let name = text.to_lowercase().parse::<Name>().map_err(Error::from);
            match name.and_then(|name| self.sign_in(name)) {
                Ok(Some(me)) => {
                    memory::remember(self.context, me.name.as_str());
                    self.greet(&me);
                    return Ok(Some(me));
                }
                Ok(None) => {}
                Err(error) if ends_the_session(&error) || error.code() == "GIVEN_UP" => return Err(error),
                Err(error) => self.context.output.error(&error),
            }
        }
    }

    /// The key of that name: there already, well known, meant by a slip of the finger, or made now. None if the person
    /// does not want one.
    fn sign_in(&mut self, name: Name) -> Result<Option<KeyEntry>> {
        let context = &mut *self.context;
        if context.wallet.keys().contains(&name) {
            return Ok(Some(context.wallet.keys().entry(&name)?));
        }
        if context.wallet.network().is_dev() && dev::names().any(|known| known == name.as_str()) {
            context.output.note(format_args!("{name} is one of the development network's well-known accounts."));
            return key::import_dev(context, &name, &name).map(Some);
        }
        let own = words::keys(context)?;
        let names = own.iter().map(String::as_str);
        if let Some(near) = words::nearest(name.as_str(), names.chain(words::WORDS)) {
            let question = format!("There is no key named {name} here. Did you mean {near}?");
            // Somebody new may well have a name like another's.
            if context.ask_yes_no(&question, is_word(near))? {
                if is_word(near) {
                    let word = near.to_owned();
                    self.obey_or_quit(&word, None)?;
                    return Ok(None);
                }
                return Ok(Some(self.context.wallet.keys().entry(&near.parse()?)?));
            }
        }
        self.make_key(&name)
    }

    fn make_key(&mut self, name: &Name) -> Result<Option<KeyEntry>> {
        let context = &mut *self.context;
        if !context.ask_yes_no(&format!("There is no key named {name} here. Make one?"), true)? {
            return Ok(None);
        }
        let passphrase = context.new_passphrase(name)?;
        context.output.note("searching two large primes ...");
        let entry = key::create(context, name, KeySize::Bits2048, passphrase.as_ref())?;
        let question = format!("Fund it with {DEV_GIFT} far from the well-known account alice?");
        if context.wallet.network().is_dev() && context.ask_yes_no(&question, true)? {
            // A key without money is still a key: what goes wrong here does not undo it.
            if let Err(error) = self.fund(entry.public.address()) {
                self.context.output.error(&error);
            }
        }
        Ok(Some(entry))
    }

    fn fund(&mut self, to: Address) -> Result<()> {
        self.connect()?;
        let Some(client) = &self.client else { return Ok(()) };
        let alice: Name = "alice".parse().expect("a valid name");
        let signer = FileSigner::new(dev::key(&alice).expect("alice is well known"));
        let wish = Wish { to, amount: DEV_GIFT, fee: None, valid_until: None, memo: Vec::new() };
        let signed = send::pay(self.context, client, &signer, wish)?;
        send::wait(self.context, client, &signed, 1, PATIENCE)?;
        self.context.output.note(format_args!("{DEV_GIFT} far have arrived."));
        Ok(())
    }

    /// Whom a person means, and how much they are asked for if it is a request; offers to remember an unknown name. None
    /// if they change their mind.
    pub(super) fn find_recipient(
        &mut self,
        text: &str,
        me: Option<&KeyEntry>,
    ) -> Result<Option<(Address, Option<Mites>)>> {
        if payment_uri::is_uri(text) {
            let request = PaymentUri::parse(text, &self.context.wallet)?;
            if let Some(label) = &request.label {
                self.context.output.note(format_args!("The request says: \"{label}\""));
            }
            return Ok(Some((request.to, request.amount)));
        }
        let lower = text.to_lowercase();
        let found = match lower.parse::<Name>() {
            Ok(name) if !self.context.wallet.looks_like_address(text) => self.find_name(&name, me)?,
            _ => Some(self.context.wallet.parse_address(text)?),
        };
        if found.is_some() {
            memory::remember(self.context, text);
        }
        Ok(found.map(|address| (address, None)))
    }

    fn find_name(&mut self, name: &Name, me: Option<&KeyEntry>) -> Result<Option<Address>> {
        match self.known(name)? {
            Some(address) => return Ok(Some(address)),
            None => {
                let people = words::people(self.context)?;
                let candidates = people.iter().map(String::as_str).chain(words::WORDS);
                let near = words::nearest(name.as_str(), candidates).map(str::to_owned);
                if let Some(near) = near
                    && self
                        .context
                        .ask_yes_no(&format!("There is no contact named {name}. Did you mean {near}?"), true)?
                {
                    if is_word(&near) {
                        self.obey_or_quit(&near, me)?;
                        return Ok(None);
                    }
                    return self.known(&near.parse()?);
                }
            }
        }
        let question = format!("There is no contact named {name}. Their address (empty to go back): ");
        let answer = self.context.ask(&question)?.ok_or(AskError::Ended)?;
        if answer.is_empty() {
            return Ok(None);
        }
        let address = self.context.wallet.parse_address(&answer)?;
        contact::remember(self.context, name, address)?;
        self.context.output.note(format_args!("Remembered {name}."));
        Ok(Some(address))
    }

    /// A word that was meant though not typed. Nobody is thrown out by a slip of the finger.
    fn obey_or_quit(&mut self, word: &str, me: Option<&KeyEntry>) -> Result<()> {
        if word == "quit" {
            self.context.output.note("Type quit once more to leave.");
            return Ok(());
        }
        self.obey(word, me)
    }

    /// The account of a contact, a key or, on development networks, a well-known name.
    fn known(&mut self, name: &Name) -> Result<Option<Address>> {
        match self.context.wallet.find(name.as_str()) {
            Ok(address) => return Ok(Some(address)),
            Err(error) if error.code() != "UNKNOWN_CONTACT" => return Err(error),
            Err(_) => {}
        }
        let known = dev::key(name).filter(|_| self.context.wallet.network().is_dev());
        Ok(known.map(|known| {
            self.context.output.note(format_args!("{name} is one of the development network's well-known accounts."));
            known.public().address()
        }))
    }
}
